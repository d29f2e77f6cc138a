//! Links between documents: what a page of this repository points to is there, headings included.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::Finding;

/// Every relative link of these pages that leads nowhere. Pages go by their path from the root; `exists` knows other files.
pub fn check(pages: &BTreeMap<PathBuf, String>, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, text) in pages {
        for (line, link) in links(text) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { beside(page, file) };
            let wrong = match (pages.get(&target), heading) {
                (Some(there), Some(heading)) => !headings(there).any(|known| known == heading),
                (Some(_), None) => false,
                (None, _) => !exists(&target),
            };
            if wrong {
                let place = format!("{}:{line}", page.display());
                findings.push(Finding { place, rule: format!("`{link}` leads nowhere: correct or remove it") });
            }
        }
    }
    findings
}

/// The file a link of a page names, from the root.
fn beside(page: &Path, file: &str) -> PathBuf {
    let mut target = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => drop(target.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => target.push(part),
        }
    }
    target
}

/// The relative links of a page outside its code, with their lines.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).map(move |to| (number, to))
    })
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// Numbered lines that stand in no fenced block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let start = "[a](docs/a.md) [b](docs/b.md) [s](docs/s.json)\n```sh\n[no](link)\n```\n\
                     [c](docs/a.md#the-trail-byte-by-byte) [d](docs/a.md#gone) [e](https://example.com/x) [f](#here)\n## Here\n";
        let other = "# The trail, byte by byte\n\n[up](../README.md#here)\n";
        let pages = BTreeMap::from([("README.md".into(), start.into()), ("docs/a.md".into(), other.into())]);
        let findings = check(&pages, |path| path == Path::new("docs/s.json"));
        let found: Vec<_> = findings.iter().map(|finding| format!("{}: {}", finding.place, finding.rule)).collect();
        assert_eq!(
            found,
            [
                "README.md:1: `docs/b.md` leads nowhere: correct or remove it",
                "README.md:5: `docs/a.md#gone` leads nowhere: correct or remove it",
            ]
        );
    }
}
