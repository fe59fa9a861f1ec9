//! Who hears what, and when. Pure: the file it comes from is read in `config`.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::alertmanager::Pairs;
use crate::time;

/// The failure type of alerts about the way of alerts.
const PIPELINE: &str = "alert_pipeline";

/// The routes in order; the first that fits decides.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) routes: Vec<Route>,
    /// What holds for alerts that no route fits: every chat, at once.
    pub(crate) otherwise: Route,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Labels and the values that fit. Without any, everything does.
    pub(crate) fits: BTreeMap<String, Vec<String>>,
    pub(crate) levels: Vec<Level>,
    /// How often the last level is told again, and how many times at most. 0: never.
    pub(crate) repeat: i64,
    pub(crate) repeats: u32,
    /// Whether messages wake people.
    pub(crate) mention: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    /// Milliseconds after the incident became known.
    pub(crate) after: i64,
    pub(crate) channels: Vec<&'static str>,
}

impl Policy {
    /// Every channel hears everything, once.
    pub(crate) fn everybody(channels: Vec<&'static str>) -> Self {
        let otherwise = Route { levels: vec![Level { after: 0, channels }], ..Route::default() };
        Self { routes: Vec::new(), otherwise }
    }

    /// The route of an alert with these labels, and its number as people count.
    pub(crate) fn route(&self, labels: &Pairs) -> (Option<usize>, &Route) {
        let found = self.routes.iter().enumerate().find(|(_, route)| route.fits(labels));
        found.map_or((None, &self.otherwise), |(index, route)| (Some(index + 1), route))
    }

    /// Who of `channels` hears of an alert: that a channel is down is no news for those who read only that one, so it
    /// goes to the others, unless there are none.
    pub(crate) fn hears(&self, labels: &Pairs, channels: &[&'static str]) -> Vec<&'static str> {
        let pipeline = labels.get("failure_type").is_some_and(|kind| kind == PIPELINE);
        let Some(about) = labels.get("channel").filter(|about| pipeline && channels.iter().any(|name| name == about))
        else {
            return channels.to_vec();
        };
        let others = |all: &[&'static str]| -> Vec<_> { all.iter().copied().filter(|name| name != about).collect() };
        let found = [others(channels), others(self.otherwise.first()), channels.to_vec()];
        found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Who would be told, when and why.
    pub(crate) fn explain(&self, labels: &Pairs) -> String {
        let (number, route) = self.route(labels);
        let why = match number {
            Some(number) if route.fits.is_empty() => format!("route {number}, which fits everything"),
            Some(number) => format!("route {number}, the first that fits: {:?}", route.fits),
            None => "no route fits, so every chat hears it".to_owned(),
        };
        let mut text = format!("why        {why}\nat once    inbox\n");
        for level in &route.levels {
            let when = if level.after == 0 { "at once".into() } else { format!("{:<10}", time::spoken(level.after)) };
            let condition = if level.after == 0 { "" } else { ", if nobody has taken it" };
            let _ = writeln!(text, "{when:<10} {}{condition}", self.hears(labels, &level.channels).join(", "));
        }
        if route.repeat > 0 {
            let _ = writeln!(
                text,
                "then       the last level again every {}, {} times at most",
                time::spoken(route.repeat),
                route.repeats
            );
        }
        let _ = writeln!(text, "mention    {}", if route.mention { "yes" } else { "no" });
        text
    }
}

impl Route {
    fn fits(&self, labels: &Pairs) -> bool {
        self.fits.iter().all(|(label, values)| labels.get(label).is_some_and(|value| values.contains(value)))
    }

    /// Who is told at once.
    pub(crate) fn first(&self) -> &[&'static str] {
        self.levels.first().map_or(&[], |level| &level.channels)
    }

    /// Everybody it names, nearest first: the order of fail-over.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &'static str> {
        self.levels.iter().flat_map(|level| level.channels.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_channel_is_down_is_told_in_the_others() {
        let policy = Policy::everybody(vec!["slack", "sms"]);
        let labels = |kind: &str, channel: &str| {
            [("failure_type", kind), ("channel", channel)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        assert_eq!(policy.hears(&labels(PIPELINE, "slack"), &["slack", "sms"]), ["sms"]);
        assert_eq!(policy.hears(&labels(PIPELINE, "slack"), &["slack"]), ["sms"], "its route has no other");
        assert_eq!(policy.hears(&labels("errors", "slack"), &["slack", "sms"]), ["slack", "sms"]);
        assert!(policy.hears(&labels(PIPELINE, "slack"), &[]).is_empty());
        let only = Policy::everybody(vec!["slack"]);
        assert_eq!(only.hears(&labels(PIPELINE, "slack"), &["slack"]), ["slack"], "better there than nowhere");
    }
}
