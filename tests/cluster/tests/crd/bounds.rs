//! Objects on both sides of every bound of the schema, made from the schema itself, so that a new field is covered by being
//! there: for each value of some good objects, what lies just within and just outside its limits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// An object with one value that may be out of bounds.
pub struct Case {
    /// The field and the keyword, such as `.spec.servers[].weight maximum`.
    pub bound: String,
    pub object: Value,
}

/// How many objects were good and bad, by bound.
#[derive(Default)]
pub struct Counts {
    pub cases: usize,
    bounds: BTreeMap<String, (usize, usize)>,
}

impl Counts {
    pub fn note(&mut self, case: &Case, good: bool) {
        self.cases += 1;
        let (accepted, refused) = self.bounds.entry(case.bound.clone()).or_default();
        *(if good { accepted } else { refused }) += 1;
    }

    /// Every bound of the spec was met and broken.
    pub fn assert_two_sides(&self) {
        let mut bounds = BTreeSet::new();
        collect_bounds(".spec", &api::crd_schema()["properties"]["spec"], &mut bounds);
        let seen: BTreeSet<_> = self.bounds.keys().cloned().collect();
        assert_eq!(bounds.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new(), "bounds without an object");
        let one_sided: Vec<_> = self.bounds.iter().filter(|(_, (good, bad))| *good == 0 || *bad == 0).collect();
        assert!(one_sided.is_empty(), "bounds with one side: {one_sided:?}");
        println!("{} objects on both sides of {} bounds", self.cases, self.bounds.len());
    }
}

const KEYWORDS: [&str; 8] = ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "enum"];

/// Good objects that hold every field of the spec between them.
pub fn bases() -> Vec<Value> {
    let server = json!({
        "name": "a", "address": "10.0.0.1:80", "weight": 2, "maxFails": 2, "failTimeout": "20s", "maxConns": 2,
        "slowStart": "1s", "route": "a", "weightMode": "PerEndpoint"
    });
    let group = |fields: Value| {
        let mut object = json!({
            "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app"},
            "spec": {"servers": [server]},
        });
        object["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        object
    };
    let method = |method: Value| group(json!({"method": method, "servers": [{"name": "a", "address": "10.0.0.1:80"}]}));
    let sticky = |sticky: Value| group(json!({"sticky": sticky}));
    vec![
        group(json!({
            "method": {"type": "LeastConn"},
            "keepalive": {"connections": 1, "requests": 1, "time": "1s", "timeout": "1s"},
            "nextUpstream": {"conditions": ["Error"], "tries": 1, "timeout": "1s"},
            "timeouts": {"connect": "1s", "send": "1s", "read": "1s", "tunnel": "1s"},
            "requestBuffering": {"maxBytes": "64k"},
            "requestHeaders": {"set": [{"name": "X-A", "value": "a"}], "remove": ["X-B"]},
        })),
        group(json!({"requestBuffering": {"maxBytes": 65536}})),
        method(json!({"type": "Hash", "hash": {"key": "$uri"}})),
        method(json!({"type": "Random", "random": {"choices": "Two"}})),
        method(json!({"type": "LeastTime", "leastTime": {"measure": "Header"}})),
        group(json!({"servers": [{"name": "a", "service": {"name": "app", "port": "http"}}]})),
        group(json!({"servers": [{"name": "a", "service": {"name": "app", "port": 80}}]})),
        group(json!({"servers": [{"name": "a", "dns": {"name": "app.example", "port": 80}}]})),
        sticky(json!({"cookie": {
            "name": "route", "expires": "1h", "domain": ".example.com", "path": "/", "sameSite": "Lax"
        }})),
        sticky(json!({"route": {"keys": ["$cookie_route"]}})),
        sticky(json!({"learn": {
            "create": ["$upstream_cookie_sid"], "lookup": ["$cookie_sid"], "timeout": "1m", "maxSessions": 10
        }})),
        group(json!({"protocol": "HTTPS", "tls": {
            "serverName": "app.example", "caCertificateRef": {"kind": "ConfigMap", "name": "ca"},
            "clientCertificateRef": {"name": "client"},
        }})),
    ]
}

/// The whole table.
pub fn cases() -> Vec<Case> {
    let (mut cases, mut seen) = (Vec::new(), BTreeSet::new());
    for base in bases() {
        let mut table = Table { base: &base, cases: &mut cases, seen: &mut seen };
        table.vary(".spec", "/spec", &api::crd_schema()["properties"]["spec"]);
    }
    cases
}

struct Table<'a> {
    base: &'a Value,
    cases: &'a mut Vec<Case>,
    /// The fields of earlier objects, with the types they had.
    seen: &'a mut BTreeSet<(String, bool)>,
}

impl Table<'_> {
    /// Varies every value below `pointer`.
    fn vary(&mut self, path: &str, pointer: &str, schema: &Value) {
        let Some(value) = self.base.pointer(pointer) else { return };
        let is_new = self.seen.insert((path.to_owned(), value.is_number()));
        let mut put = |keyword: &str, other: Value| {
            let mut object = self.base.clone();
            *object.pointer_mut(pointer).unwrap() = other;
            if is_new {
                self.cases.push(Case { bound: format!("{path} {keyword}"), object });
            }
        };
        match value {
            Value::Number(_) => {
                let limit = |key: &str| schema[key].as_f64();
                if let Some(minimum) = limit("minimum") {
                    put("minimum", whole(minimum));
                    put("minimum", whole(minimum - 1.0));
                }
                if schema["type"] == "integer" {
                    put("type", json!("1"));
                    put("type", value.clone());
                }
                if let Some(maximum) = limit("maximum") {
                    put("maximum", whole(maximum));
                    put("maximum", whole(maximum + 1.0));
                }
            }
            Value::String(text) => {
                for keyword in
                    ["minLength", "maxLength", "pattern", "enum"].iter().filter(|key| !schema[**key].is_null())
                {
                    for text in texts(keyword, text, schema) {
                        put(keyword, json!(text));
                    }
                }
            }
            Value::Array(items) => {
                for (keyword, limit) in [("minItems", 0), ("maxItems", 1)] {
                    let Some(count) = schema[keyword].as_u64().and_then(|count| usize::try_from(count).ok()) else {
                        continue;
                    };
                    put(keyword, copies(&items[0], count, schema));
                    put(keyword, copies(&items[0], if limit == 0 { count - 1 } else { count + 1 }, schema));
                }
                self.vary(&format!("{path}[]"), &format!("{pointer}/0"), &schema["items"]);
            }
            Value::Object(fields) => {
                for name in fields.keys() {
                    let schema = &schema["properties"][name];
                    self.vary(&format!("{path}.{name}"), &format!("{pointer}/{name}"), schema);
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }
}

/// Texts around a limit.
fn texts(keyword: &str, good: &str, schema: &Value) -> Vec<String> {
    let length = |key: &str| schema[key].as_u64().and_then(|length| usize::try_from(length).ok());
    match keyword {
        "minLength" => {
            let shortest = length("minLength").unwrap_or(0);
            let fits = ["a", "/", "0", "1s"].into_iter().find(|text| text.len() == shortest && matches(text, schema));
            vec![fits.unwrap_or(good).to_owned(), "a".repeat(shortest.saturating_sub(1))]
        }
        "maxLength" => {
            let longest = length("maxLength").unwrap_or(0);
            vec![fill(good, longest, schema), fill(good, longest + 1, schema), "é".repeat(longest / 2 + 1)]
        }
        "enum" => {
            let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            values.map(str::to_owned).chain(["Other".to_owned(), String::new()]).collect()
        }
        _ => ODD.iter().chain([&good]).map(|text| (*text).to_owned()).collect(),
    }
}

/// Texts that some pattern allows and another does not.
const ODD: &[&str] = &[
    "a",
    "A",
    "a.b",
    "a-b",
    "-a",
    "a-",
    ".a",
    "a..b",
    "a_b",
    "a b",
    " a",
    "a\n",
    "1",
    "80",
    "1a",
    "65536",
    "*",
    "/",
    "/a b",
    "/é",
    "é",
    "max",
    "1h",
    "1h1m1s1ms",
    "1s1h",
    "1.5s",
    "100000s",
    "1d",
    "1k",
    "1Ki",
    "1KiB",
    "-1",
    "0",
    "0s",
    "10.0.0.1:80",
    "10.0.0.1",
    "10.0.0.256:80",
    "10.0.0.1:0",
    "10.0.0.1:65536",
    "[::1]:80",
    "[::zz]:80",
    "[::1]",
    "unix:/a",
    "unix:a",
    "unix:",
    "localhost:80",
    ".example.com",
    "a\u{0}b",
    "a\rb",
    "a\"b",
    "a\\b",
    "a;b",
    "$uri",
    "",
];

/// `good` made longer within its grammar, as far as its grammar goes.
fn fill(good: &str, length: usize, schema: &Value) -> String {
    let missing = length.saturating_sub(good.len());
    let longer = |filling: &str| format!("{good}{}", filling.repeat(missing));
    let front = format!("{}{good}", "a".repeat(missing));
    let mut candidates = vec![longer("a"), front, longer("0"), format!("0{}", "1s".repeat(length))];
    candidates.push(format!("unix:/{}", "a".repeat(length.saturating_sub("unix:/".len()))));
    candidates.push("99999h99999m99999s99999ms".into());
    candidates.push("99999h99999m99999s".into());
    candidates.push("9999999999Ki".into());
    let (fits, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|text| {
        let within = schema["maxLength"].as_u64().is_some_and(|max| text.len() as u64 <= max);
        matches(text, schema) && (within || text.len() == length)
    });
    let limit = schema["maxLength"].as_u64().unwrap_or(0);
    if length as u64 > limit { rest.into_iter().next() } else { fits.into_iter().next() }
        .unwrap_or_else(|| "9".repeat(length))
}

fn matches(text: &str, schema: &Value) -> bool {
    schema["pattern"].as_str().is_none_or(|pattern| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)))
}

/// `count` items like `item`, different where they must be.
fn copies(item: &Value, count: usize, schema: &Value) -> Value {
    let values = schema["items"]["enum"].as_array();
    let copy = |index: usize| match (item, values) {
        (Value::Object(fields), _) if fields.contains_key("name") => {
            let mut fields = fields.clone();
            fields.insert("name".into(), json!(format!("a{index}")));
            Value::Object(fields)
        }
        (_, Some(values)) => {
            let values: Vec<_> = values.iter().filter(|value| **value != "Off").collect();
            values[index % values.len()].clone()
        }
        _ => json!(format!("a{index}")),
    };
    (0..count).map(copy).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "limits are whole and small")]
fn whole(number: f64) -> Value {
    json!(number as i64)
}

fn collect_bounds(path: &str, schema: &Value, bounds: &mut BTreeSet<String>) {
    bounds.extend(KEYWORDS.iter().filter(|key| !schema[**key].is_null()).map(|key| format!("{path} {key}")));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_bounds(&format!("{path}.{name}"), property, bounds);
    }
    if schema["items"].is_object() {
        collect_bounds(&format!("{path}[]"), &schema["items"], bounds);
    }
}
