//! The policy's file: channels beyond those of the environment, and who hears what.
use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{ConfigError, refuse, secret, web_address};
use crate::channel::{self, Channel, PLATFORMS, Target};
use crate::policy::{Level, Policy, Route};
use crate::time;

const VARIABLE: &str = "RELAY_POLICY";
/// Their names are labels of metrics.
const MOST_CHANNELS: usize = 60;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Hosts that messages may go to; without any, all.
    #[serde(default)]
    egress: Vec<String>,
    #[serde(default)]
    channels: BTreeMap<String, ChannelFile>,
    #[serde(default)]
    route: Vec<RouteFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFile {
    platform: Option<String>,
    url: Option<String>,
    url_file: Option<String>,
    secret_file: Option<String>,
    #[serde(default)]
    to: String,
    #[serde(default)]
    mention: String,
    body: Option<String>,
    per_minute: Option<u32>,
    #[serde(default)]
    allow_private: bool,
    #[serde(default)]
    hook: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    #[serde(default, rename = "match")]
    fits: BTreeMap<String, Vec<String>>,
    levels: Vec<LevelFile>,
    #[serde(default, with = "humantime_option")]
    repeat: Option<Duration>,
    #[serde(default = "six")]
    repeats: u32,
    #[serde(default)]
    mention: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelFile {
    #[serde(default, with = "humantime_option")]
    after: Option<Duration>,
    channels: Vec<String>,
}

/// `5m`, `1h 30m`
mod humantime_option {
    use serde::{Deserialize as _, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<super::Duration>, D::Error> {
        let text = String::deserialize(from)?;
        let duration = humantime::parse_duration(&text);
        duration.map(Some).map_err(|error| D::Error::custom(format!("{text:?} is no duration such as 5m: {error}")))
    }
}

fn six() -> u32 {
    6
}

impl File {
    pub(super) fn read(path: &str) -> Result<Self, ConfigError> {
        if path.is_empty() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path).map_err(|error| no(format!("cannot read {path}: {error}")))?;
        toml::from_str(&text).map_err(|error| no(format!("{path}: {}", error.to_string().trim_end())))
    }

    /// The channels, those of the environment included, and the policy.
    pub(super) fn apply(self, mut channels: Vec<Channel>) -> Result<(Vec<Channel>, Policy, Vec<String>), ConfigError> {
        let mut known: Vec<String> = PLATFORMS.iter().map(|platform| platform.name().to_owned()).collect();
        for (name, file) in self.channels {
            known.push(name.clone());
            let found = channel(&name, file)?;
            channels.retain(|channel| channel.name != name);
            channels.extend(found);
        }
        if channels.len() > MOST_CHANNELS {
            return Err(no(format!("at most {MOST_CHANNELS} channels")));
        }
        for channel in &channels {
            let host = channel.target.url.host_str().unwrap_or_default();
            if !self.egress.is_empty() && !self.egress.iter().any(|allowed| covers(allowed, host)) {
                return Err(no(format!("channel {}: egress does not list its host", channel.name)));
            }
        }
        let names: Vec<&'static str> = channels.iter().map(|channel| channel.name).collect();
        let people = channels.iter().filter(|channel| !channel.hook).map(|channel| channel.name).collect();
        let names = Names { known, all: names, people };
        let mut warnings = Vec::new();
        let mut routes = Vec::new();
        for (index, file) in self.route.into_iter().enumerate() {
            routes.push(route(index + 1, file, &names, &mut warnings)?);
        }
        Ok((channels, Policy { routes, ..Policy::everybody(names.people) }, warnings))
    }
}

/// `*.example.com` covers every host below.
fn covers(allowed: &str, host: &str) -> bool {
    allowed.strip_prefix('*').map_or(allowed == host, |end| host.ends_with(end))
}

/// The channel; none when the file with its URL or secret is empty.
fn channel(name: &str, file: ChannelFile) -> Result<Option<Channel>, ConfigError> {
    let wrong = |what: &str| no(format!("channel {name}: {what}"));
    if name.is_empty()
        || name == channel::INBOX
        || !name.chars().all(|char| char.is_ascii_alphanumeric() || "-_".contains(char))
    {
        return Err(wrong("a name is made of letters, digits, - and _, and inbox is taken"));
    }
    let kind = file.platform.as_deref().unwrap_or(name);
    let platform = PLATFORMS.iter().find(|platform| platform.name() == kind).ok_or_else(|| {
        let all: Vec<_> = PLATFORMS.iter().map(|platform| platform.name()).collect();
        wrong(&format!("{kind} is no platform; there are {}", all.join(", ")))
    })?;
    let url = match (&file.url, &file.url_file) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(path)) => match secret(VARIABLE, path)? {
            Some(url) => Some(url.expose_secret().to_owned()),
            None => return Ok(None),
        },
        (None, None) => platform.home().map(str::to_owned),
    };
    let url: Url = url
        .as_deref()
        .and_then(web_address)
        .ok_or_else(|| wrong("needs url_file, a file with an http or https URL"))?;
    let token = match &file.secret_file {
        Some(path) => match secret(VARIABLE, path)? {
            None => return Ok(None),
            found => found,
        },
        None => None,
    };
    let target = Target { url, secret: token, to: file.to, mention: file.mention, body: file.body };
    if let Some(what) = channel::refusal(&target.url, file.allow_private).map(|what| format!("its URL {what}")) {
        return Err(wrong(&what));
    }
    if let Some(what) = platform.lacks(&target) {
        return Err(wrong(what));
    }
    let name = observability::metrics::intern("channel", name);
    let per_minute = file.per_minute.unwrap_or(platform.per_minute()).max(1);
    Ok(Some(Channel {
        name,
        platform: *platform,
        target: target.into(),
        per_minute,
        allow_private: file.allow_private,
        hook: file.hook,
    }))
}

/// What a route may name.
struct Names {
    /// Set up or not.
    known: Vec<String>,
    all: Vec<&'static str>,
    /// Those that people read: all but hooks.
    people: Vec<&'static str>,
}

fn route(number: usize, file: RouteFile, names: &Names, warnings: &mut Vec<String>) -> Result<Route, ConfigError> {
    let wrong = |what: String| no(format!("route {number}: {what}"));
    let mut levels: Vec<Level> = Vec::new();
    for level in file.levels {
        let after = level.after.map_or(0, time::millis);
        if levels.last().map_or(after != 0, |before| after <= before.after) {
            return Err(wrong("the first level is told at once, each further one later than the one before".into()));
        }
        let mut channels = Vec::new();
        for wanted in level.channels.iter().filter(|wanted| *wanted != channel::INBOX) {
            match names.all.iter().find(|name| *name == wanted) {
                _ if wanted == "*" => channels.extend_from_slice(&names.people),
                Some(name) => channels.push(*name),
                None if names.known.contains(wanted) => {
                    warnings.push(format!("Route {number} names {wanted}, which is not set up."));
                }
                None => return Err(wrong(format!("there is no channel {wanted}"))),
            }
        }
        levels.push(Level { after, channels });
    }
    let Some(first) = levels.first_mut() else { return Err(wrong("needs levels".into())) };
    if !first.channels.iter().any(|name| names.people.contains(name)) && !names.people.is_empty() {
        warnings.push(format!("Route {number} reaches no chat that is set up: every chat hears it instead."));
        first.channels.extend_from_slice(&names.people);
    }
    Ok(Route {
        fits: file.fits,
        levels,
        repeat: file.repeat.map_or(0, time::millis),
        repeats: file.repeats,
        mention: file.mention,
    })
}

fn no(reason: impl Into<String>) -> ConfigError {
    refuse(VARIABLE, reason)
}
