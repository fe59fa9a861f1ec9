//! `.env.example` beside `docker-compose.yml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use regex::Regex;

#[test]
fn the_compose_example_has_every_variable_of_compose_with_its_default() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap();
    let (compose, example) = (read("docker-compose.yml"), read(".env.example"));
    let known: BTreeMap<_, _> = example
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .collect();
    let used: BTreeSet<_> =
        Regex::new(r"\$\{([A-Z_]+)").unwrap().captures_iter(&compose).map(|f| f.extract::<1>().1[0]).collect();
    // Compose's own, which names the files that have the others.
    let named: BTreeSet<_> = known.keys().copied().filter(|name| *name != "COMPOSE_FILE").collect();
    assert!(used.len() > 10 && used == named, "compose has {used:?}, .env.example {named:?}");
    for default in Regex::new(r"\$\{([A-Z_]+):?-([^${}]*)\}").unwrap().captures_iter(&compose) {
        let (_, [name, default]) = default.extract();
        assert_eq!(Some(&default), known.get(name), "{name}");
    }
}
