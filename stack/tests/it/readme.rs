//! The README's commands, run in its order by a shell in the repository, on ports and in a folder of the test's own.

use std::{fs, path::Path, process::Stdio, time::Duration};

use regex::Regex;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{machine, runner::without_cargo_variables};

const PATIENCE: Duration = Duration::from_mins(5);

/// Commands that a test inside `make test` cannot run, and the script that does.
const RUN_BY_CI: [&str; 3] = ["sudo apt-get install --yes build-essential python3-pip", "make lint", "make test"];

/// Commands that another test runs, and where it names them.
const RUN_ELSEWHERE: [(&str, &str); 5] = [
    ("docker compose up", WITH_ENGINE),
    ("docker compose down --volumes", WITH_ENGINE),
    ("docker compose exec service /service admin log-level debug", WITH_ENGINE),
    ("docker compose exec service /service admin sampling 0.1", WITH_ENGINE),
    ("stack/rename.sh harbour", "stack/tests/it/rename.rs"),
];
const WITH_ENGINE: &str = "stack/tests/compose/readme.rs";

fn is_run_here(line: &str) -> bool {
    !RUN_BY_CI.contains(&line) && RUN_ELSEWHERE.iter().all(|(command, _)| *command != line)
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The lines of all `sh` blocks, without comments; a line that ends in a backslash goes on in the next.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let text: String = blocks.collect::<String>().replace("\\\n", " ");
    let comment = Regex::new(r"\s+#.*").unwrap();
    text.lines().map(|line| comment.replace(line, "").trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

struct Shell {
    state: tempfile::TempDir,
    /// The variables that move ports, all of them.
    ports: Vec<String>,
    up: Option<(Child, String)>,
}

impl Shell {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", line]).current_dir(repository());
        // Containers that are up are none of its business.
        command.env("DOCKER", "0").env("LOOKOUT_STATE", self.state.path()).stdin(Stdio::null()).kill_on_drop(true);
        without_cargo_variables(&mut command);
        for port in &self.ports {
            command.env(port, "0");
        }
        command
    }

    /// `make up` stays in the foreground: read until it has shown its links.
    async fn up(&mut self) {
        let mut child = self.command("make up").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.ends_with("Ctrl-C stops it.\n") {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
            said += &line.unwrap_or_else(|| panic!("`make up` ended: {said}"));
            said.push('\n');
        }
        self.up = Some((child, said));
    }

    async fn run(&self, line: &str) -> String {
        let output = timeout(PATIENCE, self.command(line).output()).await.unwrap().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "`{line}` failed:\n{said}");
        said
    }

    /// The README names the usual ports; here each part has another.
    fn move_ports(&self, line: &str) -> String {
        let Some((_, said)) = &self.up else { return line.to_owned() };
        let links = [("Service", 8080), ("Inbox", 8090), ("Prometheus", 9090)];
        links.iter().fold(line.to_owned(), |line, (name, port)| {
            let shown = said.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.replace(&format!("http://127.0.0.1:{port}"), shown.split_whitespace().last().unwrap())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_does_what_it_says() {
    let _machine = machine::alone().await;
    let help = Command::new(env!("CARGO_BIN_EXE_stack")).args(["up", "--help"]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variable = Regex::new(r"\[env: (\w+_PORT)").unwrap();
    let ports: Vec<_> = variable.captures_iter(&help).map(|found| found[1].to_owned()).collect();
    assert!(ports.len() > 8, "{help}");
    let mut shell = Shell { state: tempfile::tempdir().unwrap(), ports, up: None };
    let commands = commands();
    for line in &commands {
        if !is_run_here(line) {
            continue;
        }
        if line == "make up" {
            shell.up().await;
            continue;
        }
        let said = shell.run(&shell.move_ports(line)).await;
        match line.as_str() {
            line if line.contains("drill") => {
                let outcome: Value =
                    serde_json::from_str(said.lines().rfind(|line| line.starts_with('{')).unwrap()).unwrap();
                assert_eq!(outcome["ok"], true, "{said}");
            }
            line if line.starts_with("curl") => assert!(said.contains("\"id\":"), "{said}"),
            "make down" => {
                let (child, _) = shell.up.as_mut().unwrap();
                timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
            }
            _ => {}
        }
    }
    for line in ["make up", "make doctor", "make down"] {
        assert!(commands.iter().any(|command| command == line), "the README does not show `{line}`");
    }
}

#[test]
fn commands_within_sentences_are_there() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    let verbs = Regex::new(r"`make ([a-z-]+)(?: NAME=(\w+))?").unwrap();
    let named: Vec<_> = verbs.captures_iter(&readme).collect();
    assert!(named.len() > 5, "{named:?}");
    for verb in named {
        let target = Regex::new(&format!(r"(?m)^{}:", &verb[1])).unwrap();
        assert!(target.is_match(&makefile), "there is no `make {}`", &verb[1]);
        let drill = verb.get(2).map(|name| name.as_str());
        assert!(drill.is_none_or(|drill| drill.parse::<stack::drills::Drill>().is_ok()), "there is no drill {drill:?}");
    }
    let runs = Regex::new(r"`cargo run --package stack -- ([^`]+)`").unwrap();
    let runs: Vec<_> = runs.captures_iter(&readme).collect();
    assert!(!runs.is_empty());
    for run in runs {
        let command =
            std::process::Command::new(env!("CARGO_BIN_EXE_stack")).args(run[1].split(' ')).arg("--help").output();
        let output = command.unwrap();
        assert!(output.status.success(), "{}: {}", &run[1], String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_the_test_leaves_out_is_run_by_the_ci_script() {
    let script = fs::read_to_string(repository().join(".ci/run")).unwrap();
    for line in RUN_BY_CI {
        let command = line.trim_start_matches("sudo ");
        assert!(script.contains(command), "`{line}` is run by nobody");
        assert!(commands().iter().any(|command| command == line), "the README no longer says `{line}`");
    }
    for (line, file) in RUN_ELSEWHERE {
        let told = line.trim_end_matches(" harbour");
        assert!(fs::read_to_string(repository().join(file)).unwrap().contains(told), "`{line}` is run by nobody");
        assert!(commands().iter().any(|command| command == line), "the README no longer says `{line}`");
    }
}
