//! What counts as one source of requests. An IPv4 address written as IPv6 is that IPv4 address, everywhere.

use core::net::{IpAddr, Ipv6Addr};

/// The first address of the source's prefix, for what is summed up or shared out among neighbours: IPv4 /24, IPv6 /56, which
/// is what one household or office has.
pub fn prefix(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4([a, b, c, 0].into())
        }
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72))),
    }
}

/// One host, for what each has of its own: an IPv4 address, or the first of the /64 an IPv6 address was picked from.
pub fn host(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_prefix_and_a_host_is_its_own() {
        let both = |text: &str| {
            let address = text.parse().unwrap();
            (prefix(address).to_string(), host(address).to_string())
        };
        assert_eq!(both("192.0.2.77"), ("192.0.2.0".into(), "192.0.2.77".into()));
        assert_eq!(both("::ffff:192.0.2.77"), ("192.0.2.0".into(), "192.0.2.77".into()));
        assert_eq!(both("2001:db8:1:2ff::9"), ("2001:db8:1:200::".into(), "2001:db8:1:2ff::".into()));
    }
}
