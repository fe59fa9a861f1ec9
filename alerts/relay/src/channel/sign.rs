//! Signatures: all are HMAC-SHA256, and no two platforms agree on what is the key and what the message.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// HMAC-SHA256.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, message).as_ref().to_vec()
}

/// `DingTalk`: the secret is the key. `millis` since the epoch.
pub(super) fn dingtalk(secret: &str, millis: i64) -> String {
    STANDARD.encode(hmac(secret.as_bytes(), format!("{millis}\n{secret}").as_bytes()))
}

/// Feishu: everything is the key, and the message is empty. `seconds` since the epoch.
pub(super) fn feishu(secret: &str, seconds: i64) -> String {
    STANDARD.encode(hmac(format!("{seconds}\n{secret}").as_bytes(), b""))
}

/// The generic webhook, in Slack's own scheme: `v0=` and the hexadecimal signature of `v0:seconds:body`.
pub(super) fn v0(secret: &str, seconds: i64, body: &str) -> String {
    let signature = hmac(secret.as_bytes(), format!("v0:{seconds}:{body}").as_bytes());
    signature.iter().fold("v0=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_signatures_come_out() {
        assert_eq!(super::dingtalk("SECtest", 1_700_000_000_000), "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g=");
        assert_eq!(super::feishu("testsecret", 1_700_000_000), "AOc8oJ7//5OlQlfWC3nRL0R+IkuzcD1FKcAyibRK9Q8=");
        let v0 = "v0=41fa6cec8ffc887a78c298c7c9e2adc007bddcd3e2fae2b91e7819ce33202afb";
        assert_eq!(super::v0("signing", 1_700_000_000, r#"{"a":1}"#), v0);
    }
}
