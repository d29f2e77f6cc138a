//! `multipart/form-data` (RFC 7578).
//!
//! The boundary is derived from the content and occurs nowhere in it: the same arguments give the same bytes, and no
//! argument can end its own part. Names are quoted with the escapes browsers use.

use ambit_model::Digest;

use crate::plan::BuildError;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) media: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// Content type and bytes of a body.
pub(crate) fn write(parts: &[Part]) -> Result<(String, Vec<u8>), BuildError> {
    let boundary = boundary(parts).ok_or(BuildError::Boundary)?;
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.bytes.len() + 200).sum::<usize>() + 64);
    for part in parts {
        out.extend_from_slice(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", quoted(&part.name)).as_bytes(),
        );
        if let Some(filename) = &part.filename {
            out.extend_from_slice(format!("; filename=\"{}\"", quoted(filename)).as_bytes());
        }
        if let Some(media) = &part.media {
            out.extend_from_slice(format!("\r\ncontent-type: {media}").as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&part.bytes);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), out))
}

/// At most 70 characters (RFC 2046 section 5.1.1).
fn boundary(parts: &[Part]) -> Option<String> {
    let content = Digest::of_parts(parts.iter().flat_map(|part| [part.name.as_bytes(), part.bytes.as_slice()]));
    (0_u8..8).find_map(|attempt| {
        let digest = Digest::of_parts([content.0.as_slice(), &[attempt]]);
        let boundary = format!("ambit-{}", digest.to_string().trim_start_matches("sha256:"));
        let inside = |bytes: &[u8]| bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        (!parts.iter().any(|part| inside(&part.bytes))).then_some(boundary)
    })
}

/// The escapes of the WHATWG's form submission: nothing ends the quotes or the line.
fn quoted(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' => "%22".to_owned(),
            '\r' => "%0D".to_owned(),
            '\n' => "%0A".to_owned(),
            '\0' => "%00".to_owned(),
            other => other.to_string(),
        })
        .collect()
}
