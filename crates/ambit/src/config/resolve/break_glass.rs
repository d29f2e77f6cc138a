//! Who may break the glass, and for what.

use ambit_model::{break_glass::BreakGlass, ids::ToolsetSlug};

use super::Resolving;
use crate::config::place::Place;

impl Resolving<'_> {
    pub(super) fn break_glass(&mut self) -> BreakGlass {
        let place = Place::root().key("break_glass");
        let raw = &self.raw.break_glass;
        let named = place.key("people");
        let each = raw.people.iter().enumerate();
        let people = each.filter_map(|(index, name)| self.user(&named.index(index), name)).collect();
        let named = place.key("toolsets");
        let mut toolsets = std::collections::BTreeSet::new();
        for (index, slug) in raw.toolsets.iter().enumerate() {
            let place = named.index(index);
            if self.declared(&place, slug, "toolsets", self.raw.toolsets.keys()) {
                toolsets.extend(self.leaf(&place, ToolsetSlug::parse(slug)));
            }
        }
        if raw.people.is_empty() != raw.toolsets.is_empty() {
            let message =
                "names people without toolsets, or toolsets without people: so nobody may break the glass; name both";
            self.findings.error(&place, message);
        }
        BreakGlass { people, toolsets }
    }
}
