use super::sample;
#[test]
fn samples_are_right() {
    for mut image in [sample::flat(), sample::deep()] {
        assert_eq!(image.violations(), []);
        assert_eq!(image.btrfs_check(), None);
        println!("{} {}", image.bytes.len(), image.blocks.len());
        for b in &image.blocks {
            println!("{b:?} {}", if b.level == 0 { image.items(b).len() } else { 0 });
        }
    }
}
