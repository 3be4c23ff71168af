//! The attributes of systemd-validatefs@.service.

use uuid::Uuid;

use crate::tree::Xattr;

/// Constraints on the partition that the root inode records, to be verified when mounting.
pub(super) struct Validate {
    pub(super) labels: Vec<String>,
    pub(super) types: Vec<Uuid>,
    pub(super) mount_points: Vec<String>,
}

impl Validate {
    /// Returns the extended attributes that record the constraints.
    pub(super) fn xattrs(&self) -> Vec<Xattr> {
        let mut labels = self.labels.clone();
        labels.sort();
        let mut types: Vec<_> = self.types.iter().map(Uuid::to_string).collect();
        types.sort();
        let lists = [
            ("gpt_label", &labels),
            ("gpt_type_uuid", &types),
            ("mount_point", &self.mount_points),
        ];
        let mut xattrs = Vec::new();
        for (name, list) in lists {
            let value: String = list.iter().map(|one| format!("{one}\0")).collect();
            if !list.is_empty() {
                let name = format!("user.validatefs.{name}").into_bytes();
                xattrs.push(Xattr { name, value: value.into_bytes() });
            }
        }
        xattrs
    }
}
