//! Signed permissions to act on one incident: in links of messages and in forms of the inbox. Each works once.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::channel::hmac;

/// A message is of use for about this long.
const VALID: i64 = 24 * 3_600_000;

/// Makes and checks permissions.
pub(crate) struct Actions(Vec<u8>);

impl std::fmt::Debug for Actions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Actions(***)")
    }
}

/// What a permission is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) code: String,
    pub(crate) nonce: String,
}

impl Actions {
    pub(crate) fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    pub(crate) fn token(&self, code: &str, now: i64) -> String {
        let claim = format!("{code}.{}.{:016x}", now + VALID, fastrand::u64(..));
        format!("{claim}.{}", self.signature(&claim))
    }

    /// The permission, if we gave it and it is still good.
    pub(crate) fn check(&self, token: &str, now: i64) -> Option<Permission> {
        let (claim, signature) = token.rsplit_once('.')?;
        let genuine: bool = self.signature(claim).as_bytes().ct_eq(signature.as_bytes()).into();
        let mut parts = claim.split('.');
        let (code, expires, nonce) = (parts.next()?, parts.next()?.parse::<i64>().ok()?, parts.next()?);
        let permission = Permission { code: code.to_owned(), nonce: nonce.to_owned() };
        (genuine && now <= expires).then_some(permission)
    }

    fn signature(&self, claim: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac(&self.0, format!("act:{claim}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_and_fresh_permissions_are_good() {
        let actions = Actions::new(vec![7; 64]);
        let token = actions.token("K7QF", 1000);
        assert_eq!(actions.check(&token, 2000).unwrap().code, "K7QF");
        assert_eq!(actions.check(&token, 1000 + VALID + 1), None);
        assert_eq!(actions.check(&token.replace("K7QF", "ZZZZ"), 2000), None);
        assert_eq!(Actions::new(vec![8; 64]).check(&token, 2000), None);
        assert_eq!(actions.check("", 0), None);
    }
}
