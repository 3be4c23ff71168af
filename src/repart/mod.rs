//! Creates partitions from repart.d definitions as systemd-repart does, offline.

mod apply;
pub mod config;
mod content;
mod context;
mod copy_from;
mod cross_checks;
mod ddi;
mod definition;
pub mod el_torito;
mod format_type;
mod fstab;
mod generate;
mod image;
mod machine_id;
mod options;
mod outcome;
mod partition;
mod populate;
mod root_path;
mod run;
mod signing;
pub mod size_limits;
mod split;
mod validate;

pub use crate::disk::Blocks;
pub use copy_from::definitions as copy_from;
pub use ddi::Ddi;
pub use definition::{
    CopyFiles, Definition, EncryptedVolume, Minimize, MountPoint, PartitionFormat, SettingLine,
    Subvolume, Symlink, TreePath, Verity,
};
pub use format_type::type_name;
pub use machine_id::machine_id;
pub use options::{Append, Deferred, Empty, Filter, Generated, Options, Size};
pub use outcome::{Activity, Outcome, PartitionResult, Report};
pub use run::{PreparedRun, identities, prepare, run};
