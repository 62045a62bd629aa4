#!/bin/sh
# A CGI program: what it prints before the empty line are headers, the rest is the body.
printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n'
env | sort
