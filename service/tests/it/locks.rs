//! Migrations run while the service serves: none may hold a lock for as long as a table is large.

use std::{fs, path::Path};

use regex::Regex;

/// A pattern, another one that excuses it, and what to do instead.
type Rule = (&'static str, &'static str, &'static str);

/// Matches nothing.
const NOTHING: &str = "$^x";
const TABLE_CONSTRAINT: &str = r"^add (constraint|check|foreign key|unique|primary key|exclude)\b";

/// What statements do to a table that others use.
const STATEMENTS: &[Rule] = &[
    (
        r"^(create|drop) (unique )?index\b",
        r"\bindex concurrently\b",
        "do it concurrently, in a migration of its own that begins with `-- no-transaction`",
    ),
    (
        r"^(lock|vacuum full|cluster|reindex|truncate|refresh materialized view)\b",
        r"\bconcurrently\b",
        "do it outside of migrations, when nobody is served",
    ),
    (r"^(update|delete)\b", NOTHING, "do it in steps, outside of migrations: here rows stay locked until the end"),
    (r"^do\b", NOTHING, "write the statements out: what a block does is not looked at"),
];

/// What `alter table` does, each part by itself.
const ACTIONS: &[Rule] = &[
    (
        r"^add (constraint \S+ )?(check|foreign key)\b",
        r"\bnot valid\b",
        "add it `not valid`, and validate it in the next migration",
    ),
    (
        r"^add (constraint \S+ )?(unique|primary key|exclude)\b",
        r"\busing index\b",
        "create a unique index concurrently, then add the constraint `using index`",
    ),
    (
        r"^alter (column )?\S+ set not null\b",
        NOTHING,
        "add a check constraint `not valid`, and validate it in the next migration",
    ),
    (r"^alter (column )?\S+ (set data )?type\b", NOTHING, "add a new column, and fill it in steps"),
    (
        r"^add .*\b(references|unique|primary key|check)\b",
        TABLE_CONSTRAINT,
        "add the column, then what holds for it in the way that does not look at all rows at once",
    ),
    (
        r"^add .*\b((big|small)?serial|generated)\b",
        TABLE_CONSTRAINT,
        "add the column without a value, and fill it in steps",
    ),
    (
        r"^add .*\bdefault \w+ ?\(",
        r"\bdefault now ?\(",
        "add the column without a default that differs by row, and fill it in steps",
    ),
];

/// What in this SQL would hold up others, with what to do instead. Tables made here are nobody's yet.
fn long_locks(sql: &str) -> Vec<String> {
    let code: Vec<_> = sql.lines().map(|line| line.split("--").next().unwrap().to_lowercase()).collect();
    let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let statements: Vec<_> = code.split(';').map(str::trim).filter(|statement| !statement.is_empty()).collect();
    let created = Regex::new(r"^create (?:unlogged )?table (?:if not exists )?([\w.]+)").unwrap();
    let new: Vec<_> = statements.iter().filter_map(|sql| Some(created.captures(sql)?.get(1)?.as_str())).collect();
    let altered = Regex::new(r"^alter table (?:if exists )?(?:only )?([\w.]+) (.*)").unwrap();
    let indexed = Regex::new(r"^create (?:unique )?index .*?\bon (?:only )?([\w.]+)").unwrap();
    let mut found = Vec::new();
    for statement in &statements {
        if let Some(parts) = altered.captures(statement) {
            let all = actions(&parts[2]);
            let own = statements.len() == 1 && all.len() == 1;
            for action in all.iter().filter(|_| !new.contains(&&parts[1])) {
                if action.starts_with("validate constraint") && !own {
                    found.push(format!("{action}: validate in a migration of its own"));
                }
                found.extend(broken(ACTIONS, action));
            }
        } else if !indexed.captures(statement).is_some_and(|parts| new.contains(&parts.get(1).unwrap().as_str())) {
            found.extend(broken(STATEMENTS, statement));
        }
    }
    found
}

/// The parts of an `alter table`, which commas outside of parentheses divide.
fn actions(text: &str) -> Vec<String> {
    let mut depth = 0;
    let divide = |character: char| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0 && character == ','
    };
    text.split(divide).map(|action| action.trim().to_owned()).collect()
}

/// The first rule that this breaks.
fn broken(rules: &[Rule], text: &str) -> Option<String> {
    let matches = |pattern: &str| Regex::new(pattern).unwrap().is_match(text);
    let (.., instead) = rules.iter().find(|(pattern, excuse, _)| matches(pattern) && !matches(excuse))?;
    Some(format!("{text}: {instead}"))
}

#[test]
fn no_migration_holds_a_lock_for_long() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3);
    for file in files {
        assert_eq!(long_locks(&fs::read_to_string(&file).unwrap()), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn what_would_hold_a_lock_for_long_is_found() {
    for bad in [
        "create index by_item on orders (item)",
        "CREATE UNIQUE INDEX by_item\n  ON orders (item)",
        "create index if not exists by_item on only orders (item)",
        "drop index by_item",
        "alter table orders add constraint c check (amount > 0)",
        "alter table orders add check (amount > 0)",
        "alter table orders add constraint f foreign key (item) references items (id)",
        "alter table only orders add foreign key (item) references items (id)",
        "alter table orders add constraint u unique (item)",
        "alter table if exists orders add unique (item)",
        "alter table orders add constraint p primary key (id)",
        "alter table orders add primary key (id)",
        "alter table orders alter column item set not null",
        "alter table orders alter item set not null",
        "alter table orders alter column amount type numeric",
        "alter table orders alter amount type numeric",
        "alter table orders alter column amount set data type numeric",
        "alter table orders add column code uuid default gen_random_uuid()",
        "alter table orders add column code uuid default uuidv7()",
        "alter table orders add column item_id uuid references items (id)",
        "alter table orders add code text unique",
        "alter table orders add column number bigserial",
        "alter table orders add column total bigint generated always as (amount * 2) stored",
        "alter table orders add column number bigint generated by default as identity",
        "alter table orders add column note text, add check (amount > 0)",
        "alter table orders add constraint c check (true) not valid, add unique (item)",
        "alter table orders add constraint c check (true) not valid; alter table orders validate constraint c",
        "lock table orders",
        "lock orders",
        "truncate orders",
        "update orders set item = 'tea'",
        "delete from orders",
        "do $$ begin lock table orders; end $$",
    ] {
        assert_eq!(long_locks(bad).len(), 1, "{bad}: {:?}", long_locks(bad));
    }
    for good in [
        "create table items (id uuid primary key); create index on items (id); create index by_id on items (id)",
        "create table if not exists items (id uuid); create index on items (id); alter table items add unique (id)",
        "create index concurrently by_item on orders (item)",
        "drop index concurrently if exists by_item",
        "alter table orders add column note text; -- not null comes later",
        "alter table orders add column paid boolean not null default false",
        "alter table orders add column seen timestamptz default now(), add column price numeric(10, 2) default 0",
        "alter table orders add constraint u unique using index by_item",
        "alter table orders validate constraint c",
    ] {
        assert_eq!(long_locks(good), Vec::<String>::new(), "{good}");
    }
}
