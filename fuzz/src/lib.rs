//! Plans arbitrary trees and judges the images in process.
//!
//! A tree is refused with an error of the library, or its image is read back by the reader of
//! others ([`view`] for ext4) and by a small one of our own that looks at what the other does not
//! show ([`ext4`]). Both compare it with the model of the tree, field by field.

pub mod ext4;
pub mod ext4_sketch;
mod image;
pub mod sketch;
pub mod view;

use arbitrary::Arbitrary;
use detfs::tree::{SurveyOptions, survey};

use ext4_sketch::Ext4Sketch;
pub use image::image_of;
use sketch::{Sketch, Taste};

/// A complaint of an oracle: what is wrong, and where.
pub type Verdict<T = ()> = Result<T, String>;

/// Images beyond this size are planned and not made.
const IMAGE_MAX: u64 = 1 << 31;

/// A tree and how to make an ext4 file system of it.
#[derive(Debug, Arbitrary)]
pub struct TreeToExt4 {
    pub options: Ext4Sketch,
    pub tree: Sketch,
}

impl TreeToExt4 {
    /// Plans the tree and has the image judged; says whether there was one.
    ///
    /// # Panics
    /// If an oracle complains, and wherever the library does.
    pub fn check(&self) -> bool {
        let taste = self.tree.taste(Taste::Unix);
        let options = self.options.options(taste);
        let Ok(mut grown) = self.tree.grow(taste) else { return false };
        let survey = survey(&grown.tree, &SurveyOptions::default()).expect("content in memory");
        let plan = match detfs::ext4::plan(&grown.tree, &survey, &options) {
            Ok(plan) => plan,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return false;
            }
        };
        let layout = plan.layout.seal();
        assert_eq!(layout.size() % u64::from(options.block_size), 0, "not whole blocks");
        if layout.size() > IMAGE_MAX {
            return false;
        }
        let image = image_of(&layout);
        ext4::adapt(&mut grown, &options);
        ext4::check(&image, &grown.model).expect("our reader");
        view::check(image, &grown.model).expect("ext4-view");
        true
    }
}
