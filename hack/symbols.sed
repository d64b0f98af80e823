# Removes from a function's mangled name what another compiler or another version of its crate would write differently:
# the hash of a crate and the distances of back references, which depend on it (v0 mangling), the hash at the end
# (legacy mangling), and the number that LTO gives to one of several functions with the same name. C names are left
# alone.
/^_(R|ZN)/ {
    s/Cs[0-9A-Za-z]{6,12}_([0-9])/C\1/g
    s/B[0-9A-Za-z]{1,3}_/B_/g
    s/17h[0-9a-f]{16}E//
    s/\.[0-9]+$//
}
