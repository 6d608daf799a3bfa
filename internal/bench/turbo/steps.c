// What an upload does with a photograph, on libjpeg-turbo: MD5, a decoding at a
// quarter of the size in which every warning is an error, two small pictures by
// averages of areas, and three files that survive a loss of power.
//
//   steps FOLDER PHOTOGRAPH    a line is the name of one that comes in
//
// It says "ready", and then answers each line with one.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <openssl/evp.h>

enum { QUALITY = 85, CHANNELS = 3 };

typedef struct {
  int width, height;
  unsigned char *samples; // rows of pixels of three
} picture;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void fatal(j_common_ptr jpeg, int level) {
  if (level < 0) jpeg->err->error_exit(jpeg); // a warning: the data are damaged
}

static unsigned char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size);
  if (fread(bytes, 1, *size, file) != *size) fail(path);
  fclose(file);
  return bytes;
}

static picture quarter(const unsigned char *bytes, size_t size) {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  errors.emit_message = fatal;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, bytes, size);
  jpeg_read_header(&jpeg, TRUE);
  jpeg.scale_num = 1;
  jpeg.scale_denom = 4;
  jpeg.out_color_space = JCS_YCbCr;
  jpeg_start_decompress(&jpeg);
  picture p = {jpeg.output_width, jpeg.output_height, NULL};
  p.samples = malloc((size_t)p.width * p.height * CHANNELS);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = p.samples + (size_t)jpeg.output_scanline * p.width * CHANNELS;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return p;
}

// average writes the averages of a line's areas: count samples of from, each
// stride apart, become fewer of to.
static void average(const float *from, int count, float *to, int fewer, int stride) {
  float ratio = (float)count / fewer;
  for (int n = 0; n < fewer; n++) {
    float first = n * ratio, last = first + ratio, sum = 0;
    for (int i = (int)first; i < count && i < last; i++) {
      float begin = i < first ? first : i, end = i + 1 > last ? last : i + 1;
      sum += from[i * stride] * (end - begin);
    }
    to[n * stride] = sum / ratio;
  }
}

static picture reduce(picture p, int width, int height) {
  picture small = {width, height, malloc((size_t)width * height * CHANNELS)};
  int row = width * CHANNELS;
  float *line = malloc(sizeof(float) * p.width * CHANNELS);
  float *narrow = malloc(sizeof(float) * row * p.height);
  for (int y = 0; y < p.height; y++) {
    for (int n = 0; n < p.width * CHANNELS; n++) line[n] = p.samples[(size_t)y * p.width * CHANNELS + n];
    for (int c = 0; c < CHANNELS; c++) average(line + c, p.width, narrow + (size_t)y * row + c, width, CHANNELS);
  }
  float ratio = (float)p.height / height;
  for (int y = 0; y < height; y++) {
    float first = y * ratio, last = first + ratio;
    float sums[row];
    memset(sums, 0, sizeof sums);
    for (int i = (int)first; i < p.height && i < last; i++) {
      float begin = i < first ? first : i, end = i + 1 > last ? last : i + 1, share = (end - begin) / ratio;
      for (int n = 0; n < row; n++) sums[n] += narrow[(size_t)i * row + n] * share;
    }
    for (int n = 0; n < row; n++) small.samples[(size_t)y * row + n] = (unsigned char)(sums[n] + 0.5f);
  }
  free(line);
  free(narrow);
  return small;
}

static unsigned char *encode(picture p, unsigned long *size) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, size);
  jpeg.image_width = p.width;
  jpeg.image_height = p.height;
  jpeg.input_components = CHANNELS;
  jpeg.in_color_space = JCS_YCbCr;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, QUALITY, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = p.samples + (size_t)jpeg.next_scanline * p.width * CHANNELS;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return bytes;
}

static void durable(const char *folder, const char *name, const char *suffix, const unsigned char *bytes, size_t size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || write(file, bytes, size) != (ssize_t)size || fsync(file) || close(file)) fail(path);
}

static void take(const char *folder, const char *photograph, const char *name) {
  size_t size;
  unsigned char *bytes = read_file(photograph, &size), digest[EVP_MAX_MD_SIZE];
  EVP_Digest(bytes, size, digest, NULL, EVP_md5(), NULL);
  picture whole = quarter(bytes, size);
  picture thumbnail = reduce(whole, 512, 384), small = reduce(thumbnail, 128, 96);
  unsigned long thumbnail_size = 0, small_size = 0;
  unsigned char *thumbnail_file = encode(thumbnail, &thumbnail_size), *small_file = encode(small, &small_size);
  durable(folder, name, "", bytes, size);
  durable(folder, name, ".thumbnail", thumbnail_file, thumbnail_size);
  durable(folder, name, ".small", small_file, small_size);
  free(bytes), free(whole.samples), free(thumbnail.samples), free(small.samples), free(thumbnail_file), free(small_file);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  char name[256];
  printf("ready\n");
  fflush(stdout);
  while (fgets(name, sizeof name, stdin)) {
    name[strcspn(name, "\n")] = 0;
    take(arguments[1], arguments[2], name);
    printf("CREATED\n");
    fflush(stdout);
  }
  return 0;
}
