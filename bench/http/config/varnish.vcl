vcl 4.1;

# Varnish. Its parameters stand in harness/servers.py, with their reasons.

backend origin {
    .host = "127.0.0.1";
    .port = "@ORIGIN@";
    .connect_timeout = 10s;
    .first_byte_timeout = 600s;
    .between_bytes_timeout = 600s;
}

sub vcl_backend_response {
    # The built-in rules obey max-age. Clients of an image that is being fetched follow the download.
    set beresp.do_stream = true;
    set beresp.do_gzip = false;
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
