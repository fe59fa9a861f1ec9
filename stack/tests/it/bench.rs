//! What `bench/` measures is built as what ships.

use std::{fs, path::Path};

use toml::Table;

fn release_profile(manifest: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(manifest);
    let mut manifest: Table = fs::read_to_string(path).unwrap().parse().unwrap();
    manifest["profile"]["release"].as_table_mut().unwrap().clone()
}

#[test]
fn the_benchmarks_profile_is_the_one_that_ships_but_for_names() {
    let (mut ships, mut measured) = (release_profile("Cargo.toml"), release_profile("bench/Cargo.toml"));
    // Names for callgrind are all that may differ, and who is a member of which workspace.
    assert!(ships.remove("strip").is_some() && measured.remove("debug").is_some());
    let packages = |profile: &mut Table| profile["package"].as_table_mut().unwrap().clone();
    let (mut shipped_packages, mut measured_packages) = (packages(&mut ships), packages(&mut measured));
    assert!(shipped_packages.remove("relay").is_some() && measured_packages.remove("observability").is_some());
    ships.insert("package".to_owned(), shipped_packages.into());
    measured.insert("package".to_owned(), measured_packages.into());
    assert_eq!(measured, ships);
}
