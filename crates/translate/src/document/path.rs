//! Paths of fields as the API server writes them: `spec.servers[0].weight`, `metadata.annotations[example.com/a]`.

use std::fmt;

/// A path under construction: each step borrows the one before, so walking a tree allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    /// The object itself.
    Root,
    /// A field of a struct.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list.
    Index(&'a Path<'a>, usize),
    /// An entry of a map.
    Key(&'a Path<'a>, &'a str),
}

/// One step of a path that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// A field or an entry of a map.
    Field(&'a str),
    /// An item of a list.
    Index(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// The steps of a written path. What stands in brackets is an index if it is a number.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (inside, behind) = bracketed.split_once(']').unwrap_or((bracketed, ""));
            rest = behind;
            return Some(inside.parse().map_or(Segment::Field(inside), Segment::Index));
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let (name, behind) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        rest = behind;
        Some(Segment::Field(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        let spec = Path::Field(&Path::Root, "spec");
        let servers = Path::Field(&spec, "servers");
        let path = Path::Field(&Path::Index(&servers, 0), "weight").to_string();
        assert_eq!(path, "spec.servers[0].weight");
        assert_eq!(
            segments(&path).collect::<Vec<_>>(),
            [Segment::Field("spec"), Segment::Field("servers"), Segment::Index(0), Segment::Field("weight")]
        );
    }

    #[test]
    fn map_keys_may_hold_dots() {
        let metadata = Path::Field(&Path::Root, "metadata");
        let labels = Path::Field(&metadata, "labels");
        let path = Path::Key(&labels, "example.com/a").to_string();
        assert_eq!(segments(&path).last(), Some(Segment::Field("example.com/a")));
    }

    #[test]
    fn any_text_ends() {
        for text in ["", ".", "[", "]", "..", "a[", "a]b", "[[", "a.[0]"] {
            assert!(segments(text).take(100).count() < 100, "{text}");
        }
    }
}
