use super::*;
use crate::network::Network;
use crate::rules::{EgressRules, Objection, Transport};

fn kind(text: &str) -> AddressKind {
    classify(text.parse().unwrap_or_else(|e| panic!("{text}: {e}")))
}

/// The first and last address of each special range, and its public neighbours.
#[test]
fn ranges_begin_and_end_where_the_registries_say() {
    use AddressKind::*;
    let ranges = [
        ("0.0.0.1", "0.255.255.255", Reserved),
        ("10.0.0.0", "10.255.255.255", Private),
        ("100.64.0.0", "100.127.255.255", SharedCarrier),
        ("127.0.0.0", "127.255.255.255", Loopback),
        ("169.254.0.0", "169.254.255.255", LinkLocal),
        ("169.254.169.0", "169.254.170.255", Metadata),
        ("172.16.0.0", "172.31.255.255", Private),
        ("192.0.0.0", "192.0.0.255", Reserved),
        ("192.0.2.0", "192.0.2.255", Documentation),
        ("192.88.99.0", "192.88.99.255", Reserved),
        ("192.168.0.0", "192.168.255.255", Private),
        ("198.18.0.0", "198.19.255.255", Benchmarking),
        ("198.51.100.0", "198.51.100.255", Documentation),
        ("203.0.113.0", "203.0.113.255", Documentation),
        ("224.0.0.0", "239.255.255.255", Multicast),
        ("240.0.0.0", "255.255.255.254", Reserved),
        ("100::", "100::ffff:ffff:ffff:ffff", Reserved),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Benchmarking),
        ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
        ("4000::", "4fff::1", Reserved),
        ("5f00::", "5f00:ffff::1", Reserved),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
    ];
    for (first, last, expected) in ranges {
        assert_eq!(kind(first), expected, "{first}");
        assert_eq!(kind(last), expected, "{last}");
    }
    for single in ["::", "0.0.0.0"] {
        assert_eq!(kind(single), Unspecified);
    }
    assert_eq!(kind("::1"), Loopback);
    assert_eq!(kind("255.255.255.255"), Broadcast);
}

#[test]
fn the_neighbours_of_special_ranges_are_public() {
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "168.63.129.15",
        "8.8.8.8",
        "2000::1",
        "2001:200::1",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::1",
        "2606:4700::1111",
        "3fff:1000::1",
        "2a00:1450:4001::200e",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
    ] {
        assert_eq!(kind(public), AddressKind::Global, "{public}");
    }
}

/// Every spelling in which an IPv6 address can carry `v4`.
fn carriers(v4: Ipv4Addr) -> Vec<IpAddr> {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let mut carriers: Vec<Ipv6Addr> = vec![
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !0x0808, !0x0808),
        Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low),
        Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0x0200, 0x5efe, high, low),
    ];
    if !v4.is_unspecified() {
        carriers.push(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low));
    }
    carriers.into_iter().map(IpAddr::V6).collect()
}

#[test]
fn no_spelling_of_a_special_address_passes() {
    let rules = EgressRules::public_only();
    let specials = [
        "0.0.0.0",
        "0.0.0.7",
        "10.0.0.1",
        "10.255.0.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.1.1",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "172.16.0.1",
        "172.31.255.254",
        "192.0.0.8",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.9",
        "203.0.113.9",
        "224.0.0.251",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    let mut judged = 0;
    for special in specials {
        let v4: Ipv4Addr = special.parse().unwrap();
        for address in carriers(v4).into_iter().chain([IpAddr::V4(v4)]) {
            for transport in [Transport::Tls, Transport::Plain] {
                assert!(rules.judge(address, transport).is_err(), "{special} as {address}");
            }
            assert_ne!(classify(address), AddressKind::Global, "{special} as {address}");
            judged += 1;
        }
    }
    assert!(judged > 280, "{judged}");
}

#[test]
fn metadata_is_refused_even_where_everything_is_allowed() {
    let allow = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(|range| range.parse::<Network>().unwrap());
    let rules = EgressRules::new(allow.to_vec());
    for metadata in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"] {
        let v4: Ipv4Addr = metadata.parse().unwrap();
        for address in carriers(v4).into_iter().chain([IpAddr::V4(v4)]) {
            let judged = rules.judge(address, Transport::Tls);
            assert_eq!(judged, Err(Objection::Never(AddressKind::Metadata)), "{metadata} as {address}");
        }
    }
    for metadata in ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42"] {
        let judged = rules.judge(metadata.parse().unwrap(), Transport::Tls);
        assert_eq!(judged, Err(Objection::Never(AddressKind::Metadata)), "{metadata}");
    }
    for never in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
        assert!(rules.judge(never.parse().unwrap(), Transport::Tls).is_err(), "{never}");
    }
    for allowed in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "8.8.8.8"] {
        assert_eq!(rules.judge(allowed.parse().unwrap(), Transport::Plain), Ok(()), "{allowed}");
    }
}

#[test]
fn an_allowed_range_covers_its_carried_forms_and_nothing_else() {
    let rules = EgressRules::new(vec!["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(rules.judge("::ffff:10.1.2.3".parse().unwrap(), Transport::Plain), Ok(()));
    assert_eq!(rules.judge("64:ff9b::10.1.2.3".parse().unwrap(), Transport::Tls), Ok(()));
    for other in ["10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1", "2001:0:a01:203::f5fd:fdfc"] {
        assert!(rules.judge(other.parse().unwrap(), Transport::Tls).is_err(), "{other}");
    }
    assert_eq!(rules.judge("8.8.8.8".parse().unwrap(), Transport::Plain), Err(Objection::Plain));
}

#[test]
fn documents_of_clients_have_a_list_of_their_own_and_need_tls() {
    let range = || vec!["10.1.0.0/16".parse::<Network>().unwrap()];
    let judge = |rules: &EgressRules, address: &str, transport| rules.judge(address.parse().unwrap(), transport);
    let rules = EgressRules::for_client_documents(range());
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "8.8.8.8"] {
        assert_eq!(judge(&rules, inside, Transport::Tls), Ok(()), "{inside}");
        assert_eq!(judge(&rules, inside, Transport::Plain), Err(Objection::NeverPlain), "{inside}");
    }
    let refused = judge(&rules, "10.2.0.1", Transport::Tls).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "is a private address: if it is meant, add its range to `[egress] client_documents`"
    );
    let everything = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(|range| range.parse::<Network>().unwrap());
    let everything = EgressRules::for_client_documents(everything.to_vec());
    for never in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"] {
        assert!(matches!(judge(&everything, never, Transport::Tls), Err(Objection::Never(_))), "{never}");
    }
    let none = EgressRules::for_client_documents(Vec::new());
    for address in ["127.0.0.1", "10.1.2.3", "::1", "fd00::1"] {
        assert!(judge(&none, address, Transport::Tls).is_err(), "{address}");
    }
}

proptest::proptest! {
    /// Carrying an address never makes it more permitted than it is.
    #[test]
    fn carried_addresses_are_judged_as_themselves(bits: u32, transport: bool) {
        let rules = EgressRules::public_only();
        let transport = if transport { Transport::Tls } else { Transport::Plain };
        let v4 = Ipv4Addr::from(bits);
        if rules.judge(v4.into(), transport).is_err() {
            for address in carriers(v4) {
                proptest::prop_assert!(rules.judge(address, transport).is_err(), "{v4} as {address}");
            }
        }
    }
}
