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

/// An origin as browsers send it, for nothing else is ever equal to it: lower case, no usual port, no path.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let origin = web_address(text)?.origin().ascii_serialization();
    if origin == text { Ok(origin) } else { Err(format!("a browser would send {origin}: write that")) }
}
