//! One request, found in every signal, and from each signal in the next, on the native stack.

use std::path::Path;

use stack::Options;

use crate::{common::acceptance, machine, runner};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_in_every_signal_and_each_signal_leads_to_the_next() {
    let _machine = machine::shared().await;
    if !runner::has_all_parts().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = Options { extras: true, folder: Some(folder.path().to_owned()), ..Options::default() };
    let stack = stack::start(options).await.unwrap();
    acceptance::check(&stack, async || lines(folder.path())).await;
    stack.stop().await.unwrap();
}

/// All lines of service and relay.
fn lines(folder: &Path) -> String {
    let files = std::fs::read_dir(folder.join("logs/programs")).unwrap();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}
