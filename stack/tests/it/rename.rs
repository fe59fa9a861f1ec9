//! A project with another name still builds, and its parts still agree.

use std::{fs, path::Path, process::Stdio};

use tokio::process::Command;

use crate::{
    machine,
    runner::{finish, without_cargo_variables},
};

fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    without_cargo_variables(&mut command);
    command
}

#[tokio::test]
async fn a_renamed_copy_builds_and_keeps_its_contracts() {
    let _machine = machine::shared().await;
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path();
    let pack = "git ls-files -z --cached --others --exclude-standard --deduplicate | xargs -0 ls -d 2>/dev/null | \
                tar --create --files-from - | tar --extract --directory \"$0\"";
    let (copied, said) = finish(&mut command("bash", &repository, &["-c", pack, copy.to_str().unwrap()])).await;
    assert!(copied, "{said}");

    let (renamed, said) = finish(&mut command("stack/rename.sh", copy, &["harbour-7"])).await;
    assert!(renamed, "{said}");

    let (_, left) = finish(&mut command("grep", copy, &["-rIil", "lookout", "."])).await;
    assert_eq!(left, "");
    assert!(fs::read_to_string(copy.join("stack/src/config.rs")).unwrap().contains("HARBOUR_7_STATE"));
    let target = Path::new(env!("CARGO_BIN_EXE_stack")).ancestors().nth(2).unwrap();
    let check = ["check", "--quiet", "--workspace", "--offline", "--target-dir", target.to_str().unwrap()];
    let (builds, said) = finish(&mut command("cargo", copy, &check)).await;
    assert!(builds, "{said}");
    // The same tests, which read the files of the folder they are started in.
    let tests = std::env::current_exe().unwrap();
    let (agree, said) = finish(&mut command(tests, &copy.join("stack"), &["contract::", "dashboards::"])).await;
    assert!(agree && !said.contains(" 0 passed"), "{said}");

    let (taken, said) = finish(&mut command("stack/rename.sh", copy, &["No Name"])).await;
    assert!(!taken && said.contains("small letters"), "{said}");
}
