//! What must hold of what was told: every episode, in order, once; at most one message again after a kill; no green
//! while a fault is there.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::chat::Post;

/// Everything that happened.
pub(crate) struct History {
    /// What Prometheus has seen firing.
    pub(crate) episodes: BTreeSet<usize>,
    /// When each fault was mended.
    pub(crate) mended: Vec<Option<Instant>>,
    /// When whoever tells was killed.
    pub(crate) kills: Vec<Instant>,
    /// What the chat was asked to show, and has.
    pub(crate) posts: Vec<Post>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Firing,
    LostSight,
    Resolved,
    /// Begin and end in one.
    Outage,
}

struct Told {
    kind: Kind,
    /// Which message said so.
    post: usize,
}

impl History {
    pub(crate) fn judge(&self) -> Vec<String> {
        let told = self.told();
        let mut violations = Vec::new();
        // Which message was repeated after which kill.
        let mut repeated: BTreeMap<usize, usize> = BTreeMap::new();
        for episode in &self.episodes {
            let all = told.get(episode).map_or(&[][..], Vec::as_slice);
            let mut once: Vec<&Told> = Vec::new();
            for told in all {
                match once.iter().rev().find(|before| is_repeat(before.kind, told.kind)) {
                    Some(before) if self.excused(&mut repeated, before.post, told.post) => {}
                    Some(_) => violations.push(format!("E{episode}: {:?} was told again without a kill", told.kind)),
                    None => {}
                }
                if !once.iter().any(|before| before.kind == told.kind) {
                    once.push(told);
                }
                let over = matches!(told.kind, Kind::Resolved | Kind::Outage);
                let mended = self.mended.get(*episode).copied().flatten();
                if over && mended.is_none_or(|mended| mended > self.posts[told.post].at) {
                    violations.push(format!("E{episode}: a green while the fault was there"));
                }
            }
            let kinds: Vec<Kind> = once.iter().map(|told| told.kind).filter(|kind| *kind != Kind::LostSight).collect();
            let fine = matches!(kinds.as_slice(), [Kind::Firing, Kind::Resolved | Kind::Outage] | [Kind::Outage]);
            if !fine {
                violations.push(format!("E{episode} was told as {kinds:?}"));
            }
        }
        violations
    }

    /// What each accepted message says of each episode.
    fn told(&self) -> BTreeMap<usize, Vec<Told>> {
        let mut told: BTreeMap<usize, Vec<Told>> = BTreeMap::new();
        for (post, said) in self.posts.iter().enumerate().filter(|(_, post)| post.accepted) {
            for line in said.lines() {
                let kind = match line.as_str() {
                    line if line.contains("FIRING") => Kind::Firing,
                    line if line.contains("LOST SIGHT") => Kind::LostSight,
                    line if line.contains("was down") => Kind::Outage,
                    line if line.contains("RESOLVED") => Kind::Resolved,
                    _ => continue,
                };
                let mut words = line.split(|char: char| !char.is_alphanumeric());
                let episode = words.find_map(|word| word.strip_prefix('E')?.parse().ok());
                if let Some(episode) = episode {
                    told.entry(episode).or_default().push(Told { kind, post });
                }
            }
        }
        told
    }

    /// Whether a kill between the two messages explains the repeat. One kill explains one message.
    fn excused(&self, repeated: &mut BTreeMap<usize, usize>, before: usize, again: usize) -> bool {
        let between = self.posts[before].at..=self.posts[again].at;
        let mut kills = self.kills.iter().enumerate().filter(|(_, kill)| between.contains(*kill));
        kills.any(|(kill, _)| *repeated.entry(kill).or_insert(before) == before)
    }
}

/// After a kill what was told as firing may be told as a whole.
fn is_repeat(before: Kind, now: Kind) -> bool {
    before == now && now != Kind::LostSight || (before, now) == (Kind::Firing, Kind::Outage)
}

impl Post {
    /// Headline and text.
    fn lines(&self) -> Vec<String> {
        let attachment = &self.body["attachments"][0];
        let texts = [&self.body["text"], &attachment["text"], &attachment["title"]];
        texts.iter().filter_map(|text| text.as_str()).flat_map(str::lines).map(str::to_owned).collect()
    }
}
