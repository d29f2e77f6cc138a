//! A range of addresses as an operator writes it: `10.20.0.0/16`, `fd12:3456::/32`, `127.0.0.1`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::address::destinations;

/// An address range in CIDR form. A bare address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a [`Network`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash is not an address.
    #[error("`{0}` is not an address range: write an address and a prefix length, as in `10.20.0.0/16`")]
    Address(String),
    /// The part after the slash is not a prefix length of this family.
    #[error("`{text}` has no valid prefix length: write a number from 1 to {max} after the slash")]
    Prefix {
        /// The range as written.
        text: String,
        /// 32 or 128.
        max: u8,
    },
    /// A prefix length of zero would switch the address check off.
    #[error("`{0}` covers every address: list the ranges that are meant")]
    Everything(String),
    /// Bits are set behind the prefix: the range is not the one that was meant.
    #[error("`{text}` has bits set behind its prefix: write `{meant}`, or a longer prefix")]
    HostBits {
        /// The range as written.
        text: String,
        /// The same prefix with those bits cleared.
        meant: Network,
    },
    /// Addresses that carry an IPv4 address are judged on that address.
    #[error("`{0}` is an IPv6 form of IPv4 addresses: write the IPv4 range, it covers this form as well")]
    Embedded(String),
}

impl Network {
    /// Whether `address`, taken at face value, lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                let free = 32_u32.saturating_sub(u32::from(self.prefix_bits));
                (first.to_bits() ^ other.to_bits()).checked_shr(free).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                let free = 128_u32.saturating_sub(u32::from(self.prefix_bits));
                (first.to_bits() ^ other.to_bits()).checked_shr(free).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(text.to_owned()))?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => max,
            Some(prefix) => {
                parse_prefix(prefix, max).ok_or_else(|| NetworkError::Prefix { text: text.to_owned(), max })?
            }
        };
        if prefix_bits == 0 {
            return Err(NetworkError::Everything(text.to_owned()));
        }
        let network = Self { first: clear_behind(address, prefix_bits), prefix_bits };
        if network.first != address {
            return Err(NetworkError::HostBits { text: text.to_owned(), meant: network });
        }
        if destinations(address)[0] != Some(address) {
            return Err(NetworkError::Embedded(text.to_owned()));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

/// Digits only: `+8` and `08` parse as numbers, but nobody writes a prefix that way on purpose.
fn parse_prefix(text: &str, max: u8) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|bits| plain && *bits <= max)
}

fn clear_behind(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(prefix_bits))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(prefix_bits))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Network>().unwrap_err().to_string()
    }

    #[test]
    fn contains_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.20.30.40", "10.20.30.40", "10.20.30.41"),
            ("128.0.0.0/1", "255.0.0.0", "127.255.255.255"),
            ("fd12::/16", "fd12:ffff::1", "fd13::"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "10.0.0.1", "::ffff:10.0.0.1"),
        ] {
            let network: Network = range.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{range} {outside}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_range() {
        assert_eq!(
            error("10.0.0.1/8"),
            "`10.0.0.1/8` has bits set behind its prefix: write `10.0.0.0/8`, or a longer prefix"
        );
        assert_eq!(error("0.0.0.0/0"), "`0.0.0.0/0` covers every address: list the ranges that are meant");
        assert_eq!(error("::/0"), "`::/0` covers every address: list the ranges that are meant");
        assert_eq!(
            error("::ffff:10.0.0.0/104"),
            "`::ffff:10.0.0.0/104` is an IPv6 form of IPv4 addresses: write the IPv4 range, it covers this form as well"
        );
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(error(text).contains("no valid prefix length: write a number from 1 to 32"), "{text}");
        }
        for text in ["", "10", "10.0/8", "0x0a.0.0.0/8", "internal.example", "[::1]", "fe80::1%eth0", " 10.0.0.0/8"] {
            assert!(error(text).contains("is not an address range"), "{text}");
        }
    }
}
