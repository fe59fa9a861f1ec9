//! How values of more than one setting are read.

use std::time::Duration;

use reqwest::Url;

pub(super) fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(url),
        Ok(_) => Err("it has to begin with http:// or https://".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A time that has to pass for anything to happen, such as `500ms` or `2s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("more than zero is needed".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as 500ms or 2s")),
    }
}
