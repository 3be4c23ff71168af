//! Stub.
#![allow(missing_docs, clippy::missing_errors_doc)]

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::Tree;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Fat12,
    Fat16,
    Fat32,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub size: Option<u64>,
    pub sector_size: u32,
    pub hidden_sectors: u32,
    pub volume_id: u32,
    pub label: Option<String>,
    pub epoch: Timestamp,
    pub variant: Option<Variant>,
}

#[derive(Debug)]
pub struct Plan {
    pub layout: Layout,
    pub variant: Variant,
    pub warnings: Vec<Warning>,
}

pub fn plan(tree: &Arc<Tree>, options: &Options) -> Result<Plan> {
    let _ = (tree, options);
    Err(Error::parameter("--fs", "vfat is not planned yet", "wait"))
}

pub fn minimal_size(tree: &Arc<Tree>, options: &Options) -> Result<u64> {
    let _ = (tree, options);
    Err(Error::parameter("--fs", "vfat is not planned yet", "wait"))
}
