//! Where events may be sent to: public addresses, by https. What is private, of this machine, of this link or a cloud's own
//! is out of reach unless the configuration names it: a webhook must not be a way into the network that it is sent from. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use ureq::http::Uri;

/// A network such as `10.20.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("\"{text}\" is not a network; write it as 10.20.0.0/16 or fd00:1::/64");
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { most } else { bits.parse().map_err(|_| wrong())? };
        if bits > most { Err(wrong()) } else { Ok(Network { address, bits }) }
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        let (own, other, length) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(own.to_bits()), u128::from(other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let shift = length - self.bits;
        // A shift by all bits is none for the processor: everything is in a network of no bits.
        shift >= 128 || own >> shift == other >> shift
    }
}

/// What may be sent to beyond the internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Plain http to this machine.
    pub http_loopback: bool,
    /// Other networks.
    pub networks: Vec<Network>,
}

/// Networks that are no part of the internet, or of it in name only.
const V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Within 2000::/3, outside of which nothing of IPv6 is public: special purposes, tunnels that carry any IPv4 address, examples.
const V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public(address: IpAddr) -> bool {
    let within = |network: IpAddr, bits: u32| Network { address: network, bits }.has(address);
    match address {
        IpAddr::V4(_) => !V4.iter().any(|(network, bits)| within((*network).into(), *bits)),
        IpAddr::V6(_) => {
            within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0).into(), 3)
                && !V6.iter().any(|(network, bits)| within((*network).into(), *bits))
        }
    }
}

/// Whether a connection to this address may be made for an endpoint; the error says why not.
pub(super) fn check_address(address: IpAddr, is_https: bool, allowed: &Allowed) -> Result<(), String> {
    // An IPv4 address in the clothes of IPv6 is what it is.
    let address = address.to_canonical();
    if !is_https {
        return match allowed.http_loopback && address.is_loopback() {
            true => Ok(()),
            false => Err(format!("{address} is reached without TLS, which is for this machine alone")),
        };
    }
    let is_named = allowed.networks.iter().any(|network| network.has(address));
    if is_public(address) || is_named || (allowed.http_loopback && address.is_loopback()) {
        return Ok(());
    }
    Err(format!("{address} is not an address of the internet; [webhooks] allow_networks can name its network"))
}

/// The parts of an endpoint's address, where it can be one; the error says why not.
pub(super) fn check_url(url: &str) -> Result<Uri, String> {
    const MOST: usize = 2_000;
    if url.len() > MOST || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("it must be of {MOST} printable characters at most"));
    }
    let uri: Uri = url.parse().map_err(|e| format!("it is not a URL: {e}"))?;
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it carries a name or password, which every proxy would log".to_owned());
    }
    if authority.host().is_empty() || url.contains('#') {
        return Err("it needs a host and takes no fragment".to_owned());
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|a| a.to_canonical().is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_local => Ok(uri),
        _ => Err("it must begin with https://".to_owned()),
    }
}

/// Scheme, host and port of an address: what may be told of it, since the rest may be secret.
pub(super) fn origin(url: &str) -> String {
    let parts = url.parse::<Uri>().ok();
    let origin = parts.and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?)));
    origin.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_sent_to() {
        let none = Allowed::default();
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert_eq!(check_address(public.parse().unwrap(), true, &none), Ok(()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.19.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "fd00:ec2::254",
            "ff02::1",
        ] {
            let no = check_address(private.parse().unwrap(), true, &none).unwrap_err();
            assert!(no.contains("allow_networks"), "{private}: {no}");
        }
    }

    #[test]
    fn what_the_configuration_names_is_sent_to_and_nothing_beside_it() {
        let allowed = Allowed { http_loopback: false, networks: vec!["10.20.0.0/16".parse().unwrap()] };
        assert!(check_address("10.20.255.1".parse().unwrap(), true, &allowed).is_ok());
        for no in ["10.21.0.1", "127.0.0.1"] {
            assert!(check_address(no.parse().unwrap(), true, &allowed).is_err(), "{no}");
        }
        assert!(check_address("10.20.0.1".parse().unwrap(), false, &allowed).is_err(), "without TLS");
        let loopback = Allowed { http_loopback: true, networks: Vec::new() };
        assert!(check_address("127.0.0.1".parse().unwrap(), false, &loopback).is_ok());
        assert!(check_address("1.1.1.1".parse().unwrap(), false, &loopback).is_err());
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.0/x", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().has("9.9.9.9".parse().unwrap()));
    }

    #[test]
    fn an_endpoint_is_an_https_address_or_one_of_this_machine() {
        for fine in [
            "https://example.com/hook?t=1",
            "https://example.com:8443",
            "http://127.0.0.1:9000/x",
            "http://localhost/",
            "http://[::1]:1/",
        ] {
            assert!(check_url(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "https://",
            "https://me:secret@example.com/",
            "https://example.com/#part",
            "https://exa mple.com/",
            "file:///etc/passwd",
            "http://127.0.0.1.example.com/",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(origin("https://example.com:8443/hook?token=1"), "https://example.com:8443");
    }
}
