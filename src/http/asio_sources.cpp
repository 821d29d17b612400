// The compiled parts of Asio and Beast, once: with separate compilation every other source gets declarations only.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
