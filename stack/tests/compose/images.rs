//! A change in one program rebuilds nothing else, and little is sent to the builder.

use std::{fs, path::Path};

use regex::Regex;
use tokio::process::Command;

use crate::{docker::repository, machine, whole::say};

/// 2 MB.
const CONTEXT: f64 = 2_000_000.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_service_rebuilds_no_dependency() {
    let _machine = machine::shared().await;
    let copy = tempfile::tempdir().unwrap();
    let files = "git ls-files -zco --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -x -C \"$0\"";
    let copied = Command::new("sh").args(["-c", files]).arg(copy.path()).current_dir(repository()).status().await;
    assert!(copied.unwrap().success());
    // What a person's checkout has beside the sources. Later builds send only what has changed.
    for waste in ["target/waste", ".git/waste", "service/target/waste"] {
        let waste = copy.path().join(waste);
        fs::create_dir_all(waste.parent().unwrap()).unwrap();
        fs::write(waste, vec![0; 5_000_000]).unwrap();
    }
    let sent = sent(&build(copy.path()).await);
    say(&format!("sent to the builder: {:.0} kB", sent / 1e3));
    assert!(sent < CONTEXT, "{sent} bytes");
    let main = copy.path().join("service/src/main.rs");
    fs::write(&main, format!("{}// Changed.\n", fs::read_to_string(&main).unwrap())).unwrap();

    let said = build(copy.path()).await;

    let compiled = Regex::new(r"Compiling (\S+) v").unwrap();
    let compiled: Vec<_> = compiled.captures_iter(&said).map(|found| found[1].to_owned()).collect();
    assert!(compiled.contains(&"service".to_owned()), "{said}");
    assert!(compiled.iter().all(|name| ["service", "observability"].contains(&name.as_str())), "{compiled:?}");
    say(&format!("compiled after a change: {}", compiled.join(", ")));
}

/// How many bytes of the context went to the builder.
fn sent(said: &str) -> f64 {
    let sent = Regex::new(r"transferring context: ([\d.]+)(k?M?)B").unwrap();
    let sent = sent.captures_iter(said).last().unwrap_or_else(|| panic!("{said}"));
    let unit = [("", 1.0), ("k", 1e3), ("M", 1e6)].into_iter().find(|(unit, _)| *unit == &sent[2]).unwrap().1;
    sent[1].parse::<f64>().unwrap() * unit
}

/// What the build says; the image itself is not kept, but the stacks of other tests take what was built.
async fn build(context: &Path) -> String {
    let arguments =
        ["build", "--progress=plain", "--build-arg=VERSION=0.1.0", "--target=service-build", "--output=type=cacheonly"];
    let revision = format!("--build-arg=REVISION={}", stack::revision().await);
    let mut command = Command::new("docker");
    command.args(arguments).args([&revision, "."]).current_dir(context);
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}
