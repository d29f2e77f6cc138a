//! What is particular to the call that is asked about, as far as somebody says it.

use std::{collections::BTreeSet, net::IpAddr};

use ambit_model::{ids::Millis, label::Label};
use ambit_policy::{CallFacts, Login};
use clap::Args;
use serde_json::Value;

use crate::{commands::Failure, config::quantity};

/// What is particular to a call.
#[derive(Args, Debug)]
pub(super) struct Particulars {
    /// As if an approval of exactly this call stood.
    #[arg(long)]
    approved: bool,
    /// The address the call comes from.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// How long before the call the person logged in, such as `10m`.
    #[arg(long, value_name = "DURATION")]
    login_age: Option<String>,
    /// How: a method of RFC 8176, such as `pwd` or `otp`; again for another one.
    #[arg(long, value_name = "METHOD", requires = "login_age")]
    login_method: Vec<String>,
    /// A label the caller touched in the half hour before; again for another one.
    #[arg(long, value_name = "LABEL")]
    touched: Vec<String>,
    /// The time of the call, such as `2026-12-24T22:00:00Z`; now if absent.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// The call that is asked about.
pub(super) struct Call<'a> {
    pub(super) arguments: Option<&'a Value>,
    pub(super) at: Millis,
    approved: bool,
    pub(super) source: Option<IpAddr>,
    /// When the person logged in.
    pub(super) login: Option<Millis>,
    methods: &'a [String],
    pub(super) touched: BTreeSet<String>,
}

impl Particulars {
    /// The call, made now unless it is said when.
    pub(super) fn call<'a>(&'a self, arguments: Option<&'a Value>, now: Millis) -> Result<Call<'a>, Failure> {
        let at = match &self.at {
            None => now,
            Some(text) => quantity::instant(text).ok_or_else(|| {
                Failure::Usage(format!("`--at {text}` is no time: write a date, or `2026-12-24T22:00:00Z`"))
            })?,
        };
        let login = match &self.login_age {
            None => None,
            Some(text) => {
                let age = quantity::duration(text).and_then(|age| i64::try_from(age.as_millis()).ok());
                let age =
                    age.ok_or_else(|| Failure::Usage(format!("`--login-age {text}` is no duration: write `10m`")))?;
                Some(at.saturating_sub(age))
            }
        };
        for label in &self.touched {
            if !Label::parse(label).is_some_and(Label::is_carried) {
                let carried = Label::ALL.into_iter().filter(|label| label.is_carried());
                let carried: Vec<_> = carried.map(|label| format!("`{label}`")).collect();
                return Err(Failure::Usage(format!(
                    "`--touched {label}` is no label that a caller carries on: there are {}",
                    carried.join(" and ")
                )));
            }
        }
        let touched = self.touched.iter().cloned().collect();
        let (approved, source, methods) = (self.approved, self.source, self.login_method.as_slice());
        Ok(Call { arguments, at, approved, source, login, methods, touched })
    }
}

impl Call<'_> {
    /// As the judge reads it.
    pub(super) fn facts<'a>(&'a self, arguments: &'a Value) -> CallFacts<'a> {
        CallFacts {
            approved: self.approved,
            source: self.source,
            touched: &self.touched,
            login: self.login.map(|at| Login { at, methods: self.methods }),
            ..CallFacts::new(self.at, arguments)
        }
    }
}
