//! Certificate authorities that an operator names beside those of the machine. A file that cannot be used is an error here:
//! found at the first request, it would be an outage.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use ambit_egress::Roots;

use super::Resolving;
use crate::config::place::Place;

/// The largest file of authorities that is read.
const MAX_BYTES: u64 = 1024 * 1024;

impl Resolving<'_> {
    pub(super) fn roots(&mut self) -> Roots {
        let Some(file) = &self.raw.egress.extra_ca else { return Roots::native() };
        let place = Place::root().key("egress").key("extra_ca");
        let path = self.base.join(file);
        let named = match read(&path) {
            Ok(pem) => Roots::native_and(pem),
            Err(why) => {
                let message = format!("names `{}`, which {why}: name a PEM file", path.display());
                self.findings.error_once(&place, message);
                return Roots::native();
            }
        };
        if let Err(error) = named.check() {
            self.findings.error(&place, format!("names `{}`: {error}", path.display()));
        }
        named
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("cannot be read ({error})");
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut pem = Vec::new();
    File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if u64::try_from(pem.len()).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(pem)
    } else {
        Err(format!("has more than {MAX_BYTES} bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    /// 2026-11-25.
    const NOW: i64 = 1_795_564_800_000;

    #[test]
    fn authorities_are_read_beside_the_file_and_held_to_be_some() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ambit.toml");
        fs::write(&path, "[egress]\nextra_ca = \"ca.pem\"\n").unwrap();
        let error = || load(&path, NOW).unwrap_err().to_string();
        assert!(
            error().contains("`egress.extra_ca` names `") && error().contains("ca.pem`, which cannot be read ("),
            "{}",
            error()
        );
        fs::create_dir(dir.path().join("ca.pem")).unwrap();
        assert!(error().contains("which is no file: name a PEM file"), "{}", error());
        fs::remove_dir(dir.path().join("ca.pem")).unwrap();
        File::create(dir.path().join("ca.pem")).unwrap().set_len(2 * 1024 * 1024).unwrap();
        assert!(error().contains("has more than 1048576 bytes"), "{}", error());
        let pem = |text: &str| fs::write(dir.path().join("ca.pem"), text).unwrap();
        pem("not one\n");
        assert!(error().contains("holds no certificate: write PEM blocks"), "{}", error());
        pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(error().contains("certificate 1 of `[egress] extra_ca` is not usable ("), "{}", error());
        let authority = rcgen::generate_simple_self_signed(["ca.corp.example".to_owned()]).unwrap().cert.pem();
        pem(&format!("# of the intranet\n{authority}"));
        let named = load(&path, NOW).unwrap().roots;
        assert_eq!(named, Roots::native_and(format!("# of the intranet\n{authority}")));
        fs::write(&path, "").unwrap();
        assert_eq!(load(&path, NOW).unwrap().roots, Roots::native());
    }
}
