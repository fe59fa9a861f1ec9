//! Where requests may go: a host name that leads to a private address is refused, unless the channel allows it.
use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names, and connects to nothing but the addresses that were checked.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| !private(address.ip())).collect();
            if public.is_empty() {
                return Err("its name leads to a private address: set allow_private if it should".into());
            }
            let public: Addrs = Box::new(public.into_iter());
            Ok(public)
        })
    }
}

/// Whether an address is one of this machine, of its network, or of a cloud's metadata service.
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets().starts_with(&[100]) && (64..128).contains(&v4.octets()[1]);
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || shared
        }
        IpAddr::V6(v6) => {
            let local = v6.is_unique_local() || v6.is_unicast_link_local();
            v6.is_loopback() || v6.is_unspecified() || local || v6.to_ipv4_mapped().is_some_and(|v4| private(v4.into()))
        }
    }
}

/// Why a URL is no place to send messages to. A private address that stands in it was meant by who wrote it;
/// the one of metadata services never is.
pub(crate) fn refusal(url: &Url, allow_private: bool) -> Option<&'static str> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_link_local() => Some("leads to a link-local address"),
        Err(_) if url.scheme() != "https" && host != "localhost" && !allow_private => {
            Some("must be https, unless allow_private is set")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(private(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "2606:4700::1111", "100.128.0.1"] {
            assert!(!private(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_no_place_for_messages_is_refused() {
        let refused = |url: &str, allow| refusal(&url.parse().unwrap(), allow).is_some();
        assert!(refused("http://chat.example/x", false) && refused("http://169.254.169.254/x", true));
        assert!(
            !refused("http://chat.example/x", true)
                && !refused("http://127.0.0.1:1/x", false)
                && !refused("https://chat.example/x", false)
        );
    }
}
