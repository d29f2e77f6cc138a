//! The admin API as a protected resource: where it is reached, and who issues its tokens. Endpoints have their own, and share
//! neither with it.

/// The admin API, resolved from configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminResource {
    /// Its URL without a path: its resource identifier and the audience of its tokens.
    pub url: String,
    /// The issuer of its tokens: `<public_url>/as/ambit-admin`.
    pub issuer: String,
}
