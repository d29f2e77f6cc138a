//! What an address is: public, private, a metadata service, or something no request belongs to.
//!
//! The lists follow the IANA special-purpose address registries (RFC 6890 and its updates).
//! An IPv6 address that carries an IPv4 address is taken apart first, because a translator, tunnel
//! or socket layer would reach the IPv4 address. Nothing here allows anything: that is
//! [`crate::rules`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The sort of place an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// Reachable by everyone: the only kind that needs no permission.
    Global,
    /// A cloud platform's service that hands out credentials or configuration to whoever asks.
    Metadata,
    /// This machine.
    Loopback,
    /// An organisation's own network: RFC 1918, unique local, site-local.
    Private,
    /// The attached link only.
    LinkLocal,
    /// Carrier-grade NAT (RFC 6598).
    SharedCarrier,
    /// A group, not a host.
    Multicast,
    /// Every host of a link.
    Broadcast,
    /// "Any address"; most systems connect it to this machine.
    Unspecified,
    /// Examples in documents (RFC 5737, 3849, 9637).
    Documentation,
    /// Laboratory measurements (RFC 2544, 5180).
    Benchmarking,
    /// Everything else that is not assigned to hosts of the public internet.
    Reserved,
}

impl AddressKind {
    /// No setting permits these: a request to them is never meant.
    pub fn is_never_allowed(self) -> bool {
        match self {
            Self::Metadata | Self::Unspecified | Self::Multicast | Self::Broadcast => true,
            Self::Global
            | Self::Loopback
            | Self::Private
            | Self::LinkLocal
            | Self::SharedCarrier
            | Self::Documentation
            | Self::Benchmarking
            | Self::Reserved => false,
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "a public address",
            Self::Metadata => "a cloud metadata address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::SharedCarrier => "a carrier-grade NAT address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Unspecified => "the unspecified address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// The kind of `address`, judged on every address it leads to: the first that is not public decides.
pub fn classify(address: IpAddr) -> AddressKind {
    destinations(address)
        .into_iter()
        .flatten()
        .map(classify_one)
        .find(|kind| *kind != AddressKind::Global)
        .unwrap_or(AddressKind::Global)
}

/// The addresses a connection to `address` may end at: itself, or the IPv4 addresses it carries.
///
/// There is always at least one.
pub(crate) fn destinations(address: IpAddr) -> [Option<IpAddr>; 2] {
    let IpAddr::V6(v6) = address else { return [Some(address), None] };
    let [head @ .., high, low] = v6.segments();
    let last = v4(high, low);
    match head {
        // `::` and `::1` are addresses of their own, the rest of ::/96 is "IPv4-compatible" (RFC 4291 §2.5.5.1).
        [0, 0, 0, 0, 0, 0] if high != 0 || low > 1 => [Some(last), None],
        // IPv4-mapped (RFC 4291 §2.5.5.2) and its translated sibling (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] => [Some(last), None],
        // NAT64, well-known prefix (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0] => [Some(last), None],
        // NAT64, local-use prefix (RFC 8215): local by definition, and it carries an address as well.
        [0x64, 0xff9b, 1, ..] => [Some(address), Some(last)],
        // 6to4 (RFC 3056).
        [0x2002, first, second, ..] => [Some(v4(first, second)), None],
        // Teredo (RFC 4380): the server, and the client with its bits inverted.
        [0x2001, 0, first, second, ..] => [Some(v4(first, second)), Some(v4(!high, !low))],
        // ISATAP interface identifiers (RFC 5214).
        [.., 0 | 0x0200, 0x5efe] => [Some(address), Some(last)],
        _ => [Some(address), None],
    }
}

/// The kind of one address, taken at face value.
pub(crate) fn classify_one(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressKind {
    use AddressKind as Kind;
    match address.octets() {
        // 169.254.169.0/24 and 169.254.170.0/24: instance and container metadata of most clouds;
        // 169.254.0.23 Tencent, 169.254.42.42 Scaleway, 100.100.100.200 Alibaba, 192.0.0.192 Oracle,
        // 168.63.129.16 Azure's wire server.
        [169, 254, 169 | 170, _]
        | [169, 254, 0, 23]
        | [169, 254, 42, 42]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => Kind::Metadata,
        [0, 0, 0, 0] => Kind::Unspecified,
        [255, 255, 255, 255] => Kind::Broadcast,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [100, 64..=127, ..] => Kind::SharedCarrier,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Documentation,
        [198, 18 | 19, ..] => Kind::Benchmarking,
        [224..=239, ..] => Kind::Multicast,
        // "This network", protocol assignments, the withdrawn 6to4 relays, class E.
        [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] => Kind::Reserved,
        _ => Kind::Global,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressKind {
    use AddressKind as Kind;
    match address.segments() {
        // Amazon (instance metadata, pod identity, DNS), Google, Scaleway.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, _]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => Kind::Metadata,
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        // Unique local, and site-local, which some networks still route.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Kind::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Kind::Documentation,
        [0x2001, 2, 0, ..] => Kind::Benchmarking,
        // Protocol assignments 2001::/23; the few anycast services in it are no place for a request.
        [0x2001, 0..=0x1ff, ..] => Kind::Reserved,
        // Outside 2000::/3 nothing is assigned to hosts.
        [0x2000..=0x3fff, ..] => Kind::Global,
        _ => Kind::Reserved,
    }
}

fn v4(high: u16, low: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests;
