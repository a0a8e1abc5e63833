//! The codes of what reading documents says, stable across releases; `docs/diagnostics.md` explains each.

use config::Code;

/// The text is not YAML.
pub const SYNTAX: Code = "FB1001";
/// The same key twice in one object.
pub const DUPLICATE_KEY: Code = "FB1002";
/// Aliases that expand to too much, or nesting that is too deep.
pub const TOO_BIG: Code = "FB1003";
/// YAML that JSON, and so Kubernetes, has no counterpart for.
pub const NOT_JSON: Code = "FB1004";
/// A document that is not an object.
pub const NOT_AN_OBJECT: Code = "FB1005";

/// A field that the kind has not.
pub const UNKNOWN_FIELD: Code = "FB2001";
/// A value of the wrong type.
pub const WRONG_TYPE: Code = "FB2002";
/// A field that must be there.
pub const REQUIRED: Code = "FB2003";
/// A value that is none of those allowed.
pub const UNSUPPORTED_VALUE: Code = "FB2004";
/// A number out of range.
pub const OUT_OF_RANGE: Code = "FB2005";
/// A text that is not of the form asked for.
pub const MALFORMED: Code = "FB2006";
/// A text or list that is too long.
pub const TOO_LONG: Code = "FB2007";
/// The same key or value twice in a list.
pub const DUPLICATE_ITEM: Code = "FB2008";
/// A name that Kubernetes does not allow.
pub const NAME: Code = "FB2009";
/// The same object twice.
pub const DUPLICATE_OBJECT: Code = "FB2010";
/// A version of the kind that is not read.
pub const VERSION: Code = "FB2011";
/// A kind that is not read.
pub const SKIPPED_KIND: Code = "FB2012";
/// An object that satisfies its schema and still cannot be read.
pub const UNREADABLE: Code = "FB2013";
/// A text or list that is too short.
pub const TOO_SHORT: Code = "FB2014";
/// A kind of ours in a group that is not known.
pub const DOUBTFUL_GROUP: Code = "FB2015";

/// A CEL rule of the CRD is broken.
pub const RULE: Code = "FB3001";
/// The CEL rules were not evaluated, because the object has other errors.
pub const RULES_NOT_CHECKED: Code = "FB3002";
/// Routes that lead no session to its server.
pub const ROUTE: Code = "FB3003";
