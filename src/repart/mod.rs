//! Partitions from repart.d definitions, as systemd-repart makes them, offline.

mod apply;
pub mod bounds;
mod chase;
pub mod config;
mod content;
mod copy_from;
mod ddi;
mod definition;
pub mod el_torito;
pub mod fstab;
mod generate;
mod image;
mod label;
mod machine_id;
mod options;
mod outcome;
mod partition;
mod populate;
mod relations;
mod run;
mod shown;
mod split;

pub use crate::size::shown;
pub use content::Blocks;
pub use copy_from::definitions as copy_from;
pub use ddi::Ddi;
pub use definition::{
    CopyFiles, Definition, EncryptedVolume, Format, Minimize, MountPoint, Subvolume, Symlink,
    TreePath, Verity,
};
pub use machine_id::machine_id;
pub use options::{Deferred, Empty, Filter, Generated, Options, Size};
pub use outcome::{Activity, Outcome, Row};
pub use run::{Prepared, Report, prepare, run};
pub use shown::type_name;
