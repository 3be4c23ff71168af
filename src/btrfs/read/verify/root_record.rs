/// Location of a subvolume in its parent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RootRecord {
    /// Id of the subvolume.
    pub(super) id: u64,
    /// Id of the parent subvolume.
    pub(super) parent: u64,
    /// Directory in the parent, index of the entry, and name.
    pub(super) dir: u64,
    pub(super) index: u64,
    pub(super) name: Box<[u8]>,
}
