//! Where something stands in a configuration file: the TOML path an operator can search for, such as
//! `servers.mux.credential.bearer` or `endpoints[0].path`.

use std::fmt;

/// A TOML path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place(Vec<Step>);

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl Place {
    /// The file as a whole.
    pub fn root() -> Self {
        Self::default()
    }

    /// A member of the table at this place.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// An element of the array at this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    write_key(key, f)?;
                }
            }
        }
        Ok(())
    }
}

/// A bare key where TOML allows one, a quoted one otherwise.
fn write_key(key: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        return f.write_str(key);
    }
    f.write_str("\"")?;
    for c in key.chars().take(120) {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_toml_writes_it() {
        let place = Place::root().key("clients").key("https://c.example/x").key("toolsets").index(2);
        assert_eq!(place.to_string(), r#"clients."https://c.example/x".toolsets[2]"#);
        assert_eq!(Place::root().index(1).to_string(), "[1]");
    }
}
