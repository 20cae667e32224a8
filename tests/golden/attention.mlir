module @attention {
  func.func public @main(%q: tensor<4x6xf32>, %k: tensor<4x6xf32>, %v: tensor<4x6xf32>, %mask: tensor<4x4xi1>) -> (tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
    %attention = stablehlo.transpose %k, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %attention_0 = stablehlo.dot_general %q, %attention, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x4xf32>
    %attention_1 = stablehlo.convert %attention_0 : (tensor<4x4xf32>) -> tensor<4x4xf64>
    %attention_2 = stablehlo.constant dense<2.4494897427831779> : tensor<4x4xf64>
    %attention_3 = stablehlo.divide %attention_1, %attention_2 : tensor<4x4xf64>
    %attention_4 = stablehlo.constant dense<-1.000000e+09> : tensor<4x4xf64>
    %attention_5 = stablehlo.select %mask, %attention_3, %attention_4 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_6 = stablehlo.constant dense<0xFFF0000000000000> : tensor<f64>
    %attention_7 = stablehlo.reduce(%attention_5 init: %attention_6) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_8 = stablehlo.compare NE, %attention_5, %attention_5, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_9 = stablehlo.constant dense<false> : tensor<i1>
    %attention_10 = stablehlo.reduce(%attention_8 init: %attention_9) applies stablehlo.or across dimensions = [1] : (tensor<4x4xi1>, tensor<i1>) -> tensor<4xi1>
    %attention_11 = stablehlo.constant dense<0x7FF8000000000000> : tensor<4xf64>
    %attention_12 = stablehlo.select %attention_10, %attention_11, %attention_7 : tensor<4xi1>, tensor<4xf64>
    %attention_13 = stablehlo.reshape %attention_12 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_14 = stablehlo.broadcast_in_dim %attention_13, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_15 = stablehlo.subtract %attention_5, %attention_14 : tensor<4x4xf64>
    %attention_16 = stablehlo.exponential %attention_15 : tensor<4x4xf64>
    %attention_17 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_18 = stablehlo.reduce(%attention_16 init: %attention_17) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_19 = stablehlo.reshape %attention_18 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_20 = stablehlo.broadcast_in_dim %attention_19, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_21 = stablehlo.divide %attention_16, %attention_20 : tensor<4x4xf64>
    %attention_22 = stablehlo.convert %v : (tensor<4x6xf32>) -> tensor<4x6xf64>
    %attention_23 = stablehlo.dot_general %attention_21, %attention_22, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_24 = stablehlo.slice %attention_23 [1:4, 0:5:2] : (tensor<4x6xf64>) -> tensor<3x3xf64>
    %attention_25 = stablehlo.multiply %attention_24, %attention_24 : tensor<3x3xf64>
    %attention_26 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_27 = stablehlo.reduce(%attention_25 init: %attention_26) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<f64>
    %attention_28 = stablehlo.constant dense<9.000000e+00> : tensor<f64>
    %attention_29 = stablehlo.divide %attention_27, %attention_28 : tensor<f64>
    %attention_30 = stablehlo.constant dense<0.1111111111111111> : tensor<3x3xf64>
    %attention_31 = stablehlo.multiply %attention_30, %attention_24 : tensor<3x3xf64>
    %attention_32 = stablehlo.constant dense<2.000000e+00> : tensor<3x3xf64>
    %attention_33 = stablehlo.multiply %attention_31, %attention_32 : tensor<3x3xf64>
    %attention_34 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_35 = stablehlo.pad %attention_33, %attention_34, low = [1, 0], high = [0, 1], interior = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<4x6xf64>
    %attention_36 = stablehlo.dot_general %attention_35, %attention_22, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf64>, tensor<4x6xf64>) -> tensor<4x4xf64>
    %attention_37 = stablehlo.dot_general %attention_21, %attention_35, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_38 = stablehlo.convert %attention_37 : (tensor<4x6xf64>) -> tensor<4x6xf32>
    %attention_39 = stablehlo.constant dense<1.000000e+00> : tensor<4x4xf64>
    %attention_40 = stablehlo.divide %attention_39, %attention_20 : tensor<4x4xf64>
    %attention_41 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_42 = stablehlo.multiply %attention_36, %attention_40 : tensor<4x4xf64>
    %attention_43 = stablehlo.compare EQ, %attention_36, %attention_41, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_44 = stablehlo.select %attention_43, %attention_36, %attention_42 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_45 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_46 = stablehlo.multiply %attention_44, %attention_21 : tensor<4x4xf64>
    %attention_47 = stablehlo.compare EQ, %attention_44, %attention_45, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_48 = stablehlo.select %attention_47, %attention_44, %attention_46 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_49 = stablehlo.negate %attention_48 : tensor<4x4xf64>
    %attention_50 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_51 = stablehlo.reduce(%attention_49 init: %attention_50) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_52 = stablehlo.broadcast_in_dim %attention_51, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_53 = stablehlo.add %attention_44, %attention_52 : tensor<4x4xf64>
    %attention_54 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_55 = stablehlo.multiply %attention_53, %attention_16 : tensor<4x4xf64>
    %attention_56 = stablehlo.compare EQ, %attention_53, %attention_54, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_57 = stablehlo.select %attention_56, %attention_53, %attention_55 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_58 = stablehlo.negate %attention_57 : tensor<4x4xf64>
    %attention_59 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_60 = stablehlo.reduce(%attention_58 init: %attention_59) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_61 = stablehlo.broadcast_in_dim %attention_12, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_62 = stablehlo.compare LT, %attention_5, %attention_61, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_63 = stablehlo.not %attention_62 : tensor<4x4xi1>
    %attention_64 = stablehlo.convert %attention_63 : (tensor<4x4xi1>) -> tensor<4x4xf64>
    %attention_65 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_66 = stablehlo.reduce(%attention_64 init: %attention_65) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_67 = stablehlo.divide %attention_60, %attention_66 : tensor<4xf64>
    %attention_68 = stablehlo.broadcast_in_dim %attention_67, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_69 = stablehlo.broadcast_in_dim %attention_12, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_70 = stablehlo.compare LT, %attention_5, %attention_69, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_71 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_72 = stablehlo.select %attention_70, %attention_71, %attention_68 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_73 = stablehlo.add %attention_57, %attention_72 : tensor<4x4xf64>
    %attention_74 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_75 = stablehlo.select %mask, %attention_73, %attention_74 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_76 = stablehlo.constant dense<0.40824829046386307> : tensor<4x4xf64>
    %attention_77 = stablehlo.multiply %attention_75, %attention_76 : tensor<4x4xf64>
    %attention_78 = stablehlo.convert %attention_77 : (tensor<4x4xf64>) -> tensor<4x4xf32>
    %attention_79 = stablehlo.dot_general %attention_78, %attention, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
    %attention_80 = stablehlo.dot_general %q, %attention_78, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<4x4xf32>) -> tensor<6x4xf32>
    %attention_81 = stablehlo.transpose %attention_80, dims = [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
    return %attention_29, %attention_79, %attention_81, %attention_38 : tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
  }
}
