//! Programs that compress content.

use std::collections::BTreeMap;

/// Versions of the programs that compress, keyed by the name of the compression.
pub(super) type Codecs = BTreeMap<&'static str, &'static str>;
