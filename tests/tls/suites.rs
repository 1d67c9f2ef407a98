//! What OpenSSL is told to offer, as a client or as a server, and whether anything of it may be spoken.

/// Level 0 lets OpenSSL itself offer what is broken.
pub const OFFERS: [(&[&str], bool); 9] = [
    (&["-tls1_3"], true),
    (&["-tls1_2"], true),
    (
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        true,
    ),
    (
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        false,
    ),
    (
        &[
            "-tls1_2",
            "-cipher",
            "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0",
        ],
        false,
    ),
    (
        &[
            "-tls1_2",
            "-cipher",
            "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0",
        ],
        false,
    ),
    (&["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"], false),
    (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
    (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
];
