//! What an upstream needs of its client to carry out a request (`-32021`), and whether a client has it.
//!
//! Of the server's words only the names the specification defines are kept, so that nothing else of them gets into an error
//! of ours.

use super::answer::member;
use crate::raw::{OwnedRaw, Raw};
use crate::write;

/// The client capabilities of 2026-07-28, each with the parts it may be narrowed to.
const KNOWN: [(&str, &[&str]); 3] =
    [("elicitation", &["form", "url"]), ("roots", &[]), ("sampling", &["context", "tools"])];

/// The known names in `data.requiredCapabilities` of an error. None if there are none.
pub(super) fn required(data: Raw<'_>) -> Option<OwnedRaw> {
    let named = member(data, "requiredCapabilities")?;
    let mut out = b"{".to_vec();
    for (name, parts) in KNOWN {
        let Some(wanted) = member(named, name).filter(|wanted| wanted.is_object()) else { continue };
        write::key(&mut out, name);
        out.push(b'{');
        for part in parts.iter().filter(|part| member(wanted, part).is_some()) {
            write::raw_member(&mut out, part, "{}");
        }
        out.push(b'}');
    }
    out.push(b'}');
    (out.len() > 2).then(|| OwnedRaw::from_written(write::into_text(out)))
}

/// Whether a client that declared this lacks any of what is required.
pub fn lacks(declared: Option<Raw<'_>>, required: &OwnedRaw) -> bool {
    let has = |name: &str, parts: &[&str]| {
        let Some(wanted) = member(required.as_raw(), name) else { return true };
        let Some(declared) = declared.and_then(|declared| member(declared, name)) else { return false };
        parts.iter().filter(|part| member(wanted, part).is_some()).all(|part| {
            // Elicitation without a mode means forms.
            member(declared, part).is_some() || (*part == "form" && declared.as_str() == "{}")
        })
    };
    !KNOWN.iter().all(|(name, parts)| has(name, parts))
}

/// Whether a client that declared this can show its user a URL. Elicitation without a mode means forms only.
pub fn elicits_url(declared: Option<Raw<'_>>) -> bool {
    let elicitation = declared.and_then(|declared| member(declared, "elicitation"));
    elicitation.and_then(|elicitation| member(elicitation, "url")).is_some_and(Raw::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        Raw::from_scanned(text)
    }

    #[test]
    fn a_url_is_shown_only_by_those_who_say_so() {
        assert!(elicits_url(Some(raw(r#"{"elicitation":{"form":{},"url":{}}}"#))));
        for none in ["{}", r#"{"elicitation":{}}"#, r#"{"elicitation":{"url":true}}"#, r#"{"url":{}}"#] {
            assert!(!elicits_url(Some(raw(none))), "{none}");
        }
        assert!(!elicits_url(None));
    }

    #[test]
    fn only_known_names_are_kept() {
        let data = r#"{"requiredCapabilities":{"sampling":{"tools":{"x":1},"evil":{}},"own":{},"roots":true,"elicitation":{}}}"#;
        assert_eq!(required(raw(data)).unwrap().as_str(), r#"{"elicitation":{},"sampling":{"tools":{}}}"#);
        for nothing in ["{}", r#"{"requiredCapabilities":["sampling"]}"#, r#"{"requiredCapabilities":{"own":{}}}"#, "7"]
        {
            assert_eq!(required(raw(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn a_client_lacks_what_it_did_not_declare() {
        let rows = [
            (r#"{"sampling":{}}"#, "{}", true),
            (r#"{"sampling":{}}"#, r#"{"sampling":{}}"#, false),
            (r#"{"sampling":{"tools":{}}}"#, r#"{"sampling":{}}"#, true),
            (r#"{"sampling":{},"roots":{}}"#, r#"{"sampling":{}}"#, true),
            (r#"{"elicitation":{"form":{}}}"#, r#"{"elicitation":{}}"#, false),
            (r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{}}"#, true),
            (r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"url":{}}}"#, false),
        ];
        for (needed, declared, expected) in rows {
            let needed = required(raw(&format!("{{\"requiredCapabilities\":{needed}}}"))).unwrap();
            assert_eq!(lacks(Some(raw(declared)), &needed), expected, "{needed:?} {declared}");
            assert!(lacks(None, &needed));
        }
    }
}
