dnl SPDX-License-Identifier: Apache-2.0
dnl CNODE_CHECK_EI: finds erl_interface (sets EI_CFLAGS, EI_LIBS). Debian and source
dnl installs of OTP put it into different places; --with-ei=DIR names another.
AC_DEFUN([CNODE_CHECK_EI],[
  AC_ARG_WITH([ei],[AS_HELP_STRING([--with-ei=DIR],[erl_interface is in DIR/include and DIR/lib])],
    [EI_CFLAGS="-I$withval/include" ei_ldflags="-L$withval/lib"],[EI_CFLAGS= ei_ldflags=])
  ei_save_CPPFLAGS=$CPPFLAGS ei_save_LDFLAGS=$LDFLAGS
  CPPFLAGS="$CPPFLAGS $EI_CFLAGS" LDFLAGS="$LDFLAGS $ei_ldflags"
  AC_CHECK_HEADER([ei.h],[],[AC_MSG_ERROR([ei.h not found: install erlang-dev, or say --with-ei=DIR])])
  AC_CHECK_LIB([ei],[ei_decode_version],[EI_LIBS="$ei_ldflags -lei"],
    [AC_MSG_ERROR([libei not found: install erlang-dev, or say --with-ei=DIR])],[-lpthread])
  CPPFLAGS=$ei_save_CPPFLAGS LDFLAGS=$ei_save_LDFLAGS
  AC_SUBST([EI_CFLAGS])
  AC_SUBST([EI_LIBS])
])
