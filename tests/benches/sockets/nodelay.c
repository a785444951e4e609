/* Forces TCP_NODELAY on each connection that a program makes or takes, by LD_PRELOAD: without it other tunnels stall. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int without_delay(int descriptor) {
    int before = errno, on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* others than TCP refuse it */
    errno = before;
    return descriptor;
}

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
    int (*next)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    int descriptor = next(listener, address, length, flags);
    return descriptor < 0 ? descriptor : without_delay(descriptor);
}

int connect(int descriptor, const struct sockaddr *address, socklen_t length) {
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    without_delay(descriptor);
    return next(descriptor, address, length);
}
