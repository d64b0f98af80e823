# For Nix: `nix-build -E '(import <nixpkgs> { }).callPackage hack/packages/rootling.nix { }'` in a clone builds what is
# checked out.
{ lib, rustPlatform, libseccomp, glibc, gperf, pkg-config }:

let
  # The package has the shared library alone, and the program is static.
  staticLibseccomp = libseccomp.overrideAttrs (old: {
    dontDisableStatic = true;
    configureFlags = (old.configureFlags or [ ]) ++ [ "--enable-static" ];
  });
in
rustPlatform.buildRustPackage {
  pname = "rootling";
  version = (lib.importTOML ../../Cargo.toml).workspace.package.version;
  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  nativeBuildInputs = [ gperf pkg-config ];
  buildInputs = [ glibc.static ];
  LIBSECCOMP_LIB_PATH = "${lib.getLib staticLibseccomp}/lib";

  postPatch = "patchShebangs hack";
  buildPhase = "hack/build.sh";
  installPhase = ''BINARY=$(hack/binary.sh) PREFIX=$out APPARMOR=no hack/install.sh install'';
  # They make containers, which the sandbox of a build has no namespaces for.
  doCheck = false;

  meta = {
    description = "Containers from OCI bundles without a daemon and without root";
    license = lib.licenses.asl20;
    platforms = [ "x86_64-linux" "aarch64-linux" ];
    mainProgram = "rootling";
  };
}
