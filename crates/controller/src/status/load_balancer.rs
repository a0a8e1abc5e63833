//! Where clients reach the data planes, as it stands in the status of every Ingress of ours.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;

/// What an operator gave as addresses: IP addresses as such, anything else as host names.
pub fn addresses(given: &[String]) -> Vec<IngressLoadBalancerIngress> {
    let entry = |address: &String| {
        let is_ip = address.parse::<IpAddr>().is_ok();
        IngressLoadBalancerIngress {
            hostname: (!is_ip).then(|| address.clone()),
            ip: is_ip.then(|| address.clone()),
            ports: None,
        }
    };
    given.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        let given = ["192.0.2.7", "2001:db8::7", "lb.example"].map(String::from);
        let told: Vec<_> = addresses(&given).into_iter().map(|one| (one.ip, one.hostname)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(told, [(text("192.0.2.7"), None), (text("2001:db8::7"), None), (None, text("lb.example"))]);
    }
}
