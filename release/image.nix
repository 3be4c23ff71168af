# Builds a disk image in Nix's sandbox, with no other programs than detfs and busybox:
#
#   nix-build release/image.nix --arg detfs ./detfs --arg busybox ./busybox \
#       --arg tree ./tree --argstr seed UUID
#
# detfs is the static program, and busybox a directory with a static bin/busybox, such as that of
# nixpkgs. Paths in the Nix store have neither owners nor times: all files of the image are root's,
# from one second after 1970.
{ detfs, busybox, tree, seed, options ? [ ], system ? builtins.currentSystem }:
derivation {
  inherit detfs busybox tree seed options system;
  name = "image.raw";
  builder = "${busybox}/bin/busybox";
  # The store belongs to a user that does not exist in the sandbox. The copy belongs to the builder,
  # which is root in a namespace of its own.
  args = [ "sh" "-euc" ''
    $busybox/bin/busybox cp -a $tree tree
    exec $busybox/bin/busybox unshare -r \
      $detfs mkimage tree $out --seed $seed --source-date-epoch 1 $options
  '' ];
}
