//! What the flags of a controller come to.

use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    args: ControllerArgs,
}

fn given(flags: &[&str]) -> Result<ControllerArgs, String> {
    let parsed = Alone::try_parse_from([&["controller"], flags].concat());
    parsed.map(|alone| alone.args).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_is_for_names_and_addresses() {
    let names = |flags: &[&str]| given(flags).unwrap().names("forebay", Some("10.0.0.9"));
    let default = names(&[]);
    assert_eq!(default.dns[0], "forebay-controller.forebay.svc");
    assert_eq!(default.addresses, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    let given = names(&["--feed-name=c.example,192.0.2.1", "--feed-name=fd00::1"]);
    assert_eq!(given.dns, ["c.example"]);
    assert_eq!(
        given.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.1", "fd00::1", "10.0.0.9"]
    );
}

#[test]
fn where_a_replica_is_reached_has_a_port() {
    for good in ["10.0.0.9:9902", "[fd00::1]:9902", "c.example:1"] {
        assert_eq!(given(&["--advertise", good]).unwrap().advertise.as_deref(), Some(good));
    }
    for wrong in ["10.0.0.9", ":9902", "c.example:0", "c.example:http"] {
        let said = given(&["--advertise", wrong]).unwrap_err();
        assert!(said.contains(&format!("\"{wrong}\" is no HOST:PORT")), "{said}");
    }
}
