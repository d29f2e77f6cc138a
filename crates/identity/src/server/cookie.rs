//! Cookies. Over https they carry the `__Host-` prefix, which a neighbouring host or a plain connection cannot set; on a
//! loopback without TLS browsers refuse that prefix, so the plain name stands there.

use http::{HeaderMap, HeaderValue, header};

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The id of a login session.
    Session,
    /// The secret of forms shown before anybody is logged in.
    Form,
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-ambit-session",
            (Self::Session, false) => "ambit-session",
            (Self::Form, true) => "__Host-ambit-form",
            (Self::Form, false) => "ambit-form",
        }
    }

    /// The cookie's value. Two of one name were not both set by us: none.
    pub(crate) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let name = self.name(secure);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        });
        let value = values.next().filter(|value| !value.is_empty() && value.len() <= 128);
        if values.next().is_some() { None } else { value }
    }

    /// Sets the cookie until the browser ends its session.
    pub(crate) fn set(self, value: &str, secure: bool, headers: &mut HeaderMap) {
        self.write(value, "", secure, headers);
    }

    /// Takes the cookie away.
    pub(crate) fn clear(self, secure: bool, headers: &mut HeaderMap) {
        self.write("", "; Max-Age=0", secure, headers);
    }

    fn write(self, value: &str, until: &str, secure: bool, headers: &mut HeaderMap) {
        let name = self.name(secure);
        let flag = if secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{flag}{until}");
        if let Ok(line) = HeaderValue::from_str(&line) {
            headers.append(header::SET_COOKIE, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(line: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, line.parse().unwrap());
        headers
    }

    #[test]
    fn a_cookie_is_read_by_its_exact_name_once() {
        let headers = cookies("a=b; __Host-ambit-session=one; ambit-session=two");
        assert_eq!(Cookie::Session.read(&headers, true), Some("one"));
        assert_eq!(Cookie::Session.read(&headers, false), Some("two"));
        assert_eq!(Cookie::Form.read(&headers, true), None);
        assert_eq!(Cookie::Session.read(&cookies("ambit-session=a; ambit-session=b"), false), None);
        assert_eq!(Cookie::Session.read(&cookies("ambit-session="), false), None);
    }

    #[test]
    fn over_https_a_cookie_is_bound_to_the_host() {
        let mut headers = HeaderMap::new();
        Cookie::Session.set("x", true, &mut headers);
        Cookie::Session.clear(false, &mut headers);
        let lines: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(lines[0], "__Host-ambit-session=x; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(lines[1], "ambit-session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
